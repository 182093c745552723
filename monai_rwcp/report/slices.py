"""Slices of one case as small pictures: image, truth, prediction set, and what the set misses."""

from __future__ import annotations

import io

import numpy as np

from monai_rwcp.report.plots import MISSED_COLOUR, SET_COLOUR, TRUTH_COLOUR

__all__ = ["slice_pictures"]

_MOST, _MARGIN, _PIXELS = 24, 12, 320


def slice_pictures(
    image: np.ndarray | None, truth: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]
) -> list[tuple[int, bytes]]:
    """Draw the slices along the last axis that show the truth or the set, at most 24 of them, evenly spread.

    The truth is outlined in solid green, the set in dashed orange (told apart by the dashes in black and white), what
    the set misses is filled in red. The picture is cut to both with a margin.

    Args:
        image: float ``[x, y(, z)]``, or None for none (a grey ground).
        truth: bool of the same shape.
        found: the set, bool of the same shape.
        spacing: voxel size in mm along x and y (and z).

    Returns:
        number of each slice from 0, and its PNG; empty when neither truth nor set holds a voxel.

    Raises:
        ImportError: when matplotlib is missing.
    """
    try:
        from matplotlib.image import imsave
    except ModuleNotFoundError as error:
        raise ImportError('The report needs matplotlib: pip install "monai-rwcp[report]".') from error
    volumes = [None if v is None else v.reshape(*v.shape[:2], -1) for v in (image, truth, found)]
    grey, true, claimed = volumes[0], np.asarray(volumes[1]), np.asarray(volumes[2])
    either = true | claimed
    if not either.any():
        return []
    box = tuple(
        slice(max(0, int(used[0]) - _MARGIN), int(used[-1]) + 1 + _MARGIN)
        for used in (np.flatnonzero(either.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    )
    shown = np.flatnonzero(either.any(axis=(0, 1)))
    shown = shown[np.unique(np.linspace(0, len(shown) - 1, min(_MOST, len(shown))).round().astype(int))]
    low, high = (0.0, 1.0) if grey is None else np.percentile(grey, (0.5, 99.5))
    pictures = []
    for z in shown.tolist():
        ground = (
            np.full(true[box].shape[:2], 0.35) if grey is None else (grey[box][..., z] - low) / max(high - low, 1e-12)
        )
        picture = _drawn(np.clip(ground, 0, 1), true[box][..., z], claimed[box][..., z], spacing)
        file = io.BytesIO()
        imsave(file, picture, format="png")
        pictures.append((z, file.getvalue()))
    return pictures


def _drawn(ground: np.ndarray, true: np.ndarray, claimed: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    millimetres = (ground.shape[0] * spacing[0], ground.shape[1] * spacing[1])
    scale = _PIXELS / max(millimetres)
    sides = [max(1, round(mm * scale)) for mm in millimetres]
    at = np.ix_(*((np.arange(n) * size // n) for n, size in zip(sides, ground.shape, strict=True)))
    picture = np.repeat(ground[at][..., None], 3, axis=-1)
    missed = (true & ~claimed)[at]
    picture[missed] = 0.5 * picture[missed] + 0.5 * np.array(MISSED_COLOUR)
    i, j = np.indices(picture.shape[:2])
    dashes = (i + j) // 5 % 2 == 0
    picture[_outline(claimed[at]) & dashes] = SET_COLOUR
    picture[_outline(true[at])] = TRUTH_COLOUR
    # Rows of a picture run down, columns to the right: the patient's front is up when the axes are those of RAS.
    return np.ascontiguousarray(picture.transpose(1, 0, 2)[::-1])


def _outline(mask: np.ndarray) -> np.ndarray:
    """Two pixels wide, inside the mask."""
    padded = np.pad(mask, 2)
    inside = np.ones_like(mask)
    for down in (-2, 0, 2):
        for across in (-2, 0, 2):
            inside &= padded[2 + down : 2 + down + mask.shape[0], 2 + across : 2 + across + mask.shape[1]]
    return mask & ~inside
