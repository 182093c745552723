"""Slices of one case as small pictures: image, truth, prediction set, the band around an inner set, what is missed."""

from __future__ import annotations

import io

import numpy as np

from monai_rwcp.utils.packages import needed

__all__ = ["legend_pictures", "slice_pictures"]

_MOST, _MARGIN, _PIXELS = 24, 12, 480

# A picture holds numbers of colours: greys, then what is drawn. Without mixed colours the files stay small.
_GREYS = 64
_COLORS = {"black": (0, 0, 0), "truth": (80, 255, 140), "set": (255, 170, 0), "missed": (230, 26, 51)}
_COLORS |= {"band": (102, 194, 255), "inner": (255, 255, 255), "white": (255, 255, 255)}
_NUMBER = {name: _GREYS + i for i, name in enumerate(_COLORS)}


def slice_pictures(
    image: np.ndarray | None,
    truth: np.ndarray,
    found: np.ndarray,
    spacing: tuple[float, ...],
    inner: np.ndarray | None = None,
) -> list[tuple[int, bytes]]:
    """Draw the slices along the last axis that show the truth or the set, at most 24 of them, evenly spread, and
    that where most is missed.

    Told apart in black and white, too: the truth has a solid outline (green), the set a dashed one (orange), what the
    set misses is filled with dots (red), the inner set has a dotted outline (white), and the band between both sets is
    striped (blue). The picture is cut to truth and set with a margin.

    Args:
        image: float ``[x, y(, z)]``, or None for none (a grey ground).
        truth: bool of the same shape.
        found: the set, bool of the same shape.
        spacing: voxel size in mm along x and y (and z).
        inner: the inner set, bool of the same shape; None for none.

    Returns:
        number of each slice from 0, and its PNG; empty when neither truth nor set holds a voxel.

    Raises:
        ImportError: when matplotlib (and Pillow with it) is missing.
    """
    grey, true, claimed, sure = (
        None if v is None else v.reshape(*v.shape[:2], -1) for v in (image, truth, found, inner)
    )
    assert true is not None
    assert claimed is not None
    either = true | claimed
    if not either.any():
        return []
    box = tuple(
        slice(max(0, int(used[0]) - _MARGIN), int(used[-1]) + 1 + _MARGIN)
        for used in (np.flatnonzero(either.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    )
    shown = np.flatnonzero(either.any(axis=(0, 1)))
    shown = shown[np.unique(np.linspace(0, len(shown) - 1, min(_MOST, len(shown))).round().astype(int))]
    worst = int((true & ~claimed).sum(axis=(0, 1)).argmax())
    shown = np.union1d(shown, [worst]) if either[..., worst].any() else shown
    low, high = (0.0, 1.0) if grey is None else np.percentile(grey, (0.5, 99.5))
    pictures = []
    for z in shown.tolist():
        ground = (
            np.full(true[box].shape[:2], 0.35) if grey is None else (grey[box][..., z] - low) / max(high - low, 1e-12)
        )
        true_z, claimed_z = true[box][..., z], claimed[box][..., z]
        marks = [("missed", true_z & ~claimed_z), ("set", claimed_z), ("truth", true_z)]
        if sure is not None:
            sure_z = sure[box][..., z]
            marks = [("band", claimed_z & ~sure_z), *marks[:2], ("inner", sure_z), *marks[2:]]
        pictures.append((z, _drawn(np.clip(ground, 0, 1), marks, spacing)))
    return pictures


def legend_pictures() -> dict[str, bytes]:
    """Draw a sample of each mark that :py:func:`slice_pictures` makes.

    Returns:
        PNG by what the mark shows: ``"truth"``, ``"set"``, ``"missed"``, ``"inner"``, ``"band"``.

    Example:
        >>> list(legend_pictures())
        ['truth', 'set', 'missed', 'inner', 'band']
    """
    ground, mask = np.full((14, 10), 0.35), np.zeros((14, 10), dtype=bool)
    mask[2:-2, 2:-2] = True
    names = ("truth", "set", "missed", "inner", "band")
    return {name: _drawn(ground, [(name, mask)], (1.0, 1.0), pixels=56) for name in names}


def _drawn(
    ground: np.ndarray, marks: list[tuple[str, np.ndarray]], spacing: tuple[float, ...], pixels: int = _PIXELS
) -> bytes:
    millimetres = (ground.shape[0] * spacing[0], ground.shape[1] * spacing[1])
    sides = [max(1, round(mm * pixels / max(millimetres))) for mm in millimetres]
    at = np.ix_(*((np.arange(n) * size // n) for n, size in zip(sides, ground.shape, strict=True)))
    picture = np.round(ground[at] * (_GREYS - 1)).astype(np.uint8)
    for name, mask in marks:
        _mark(picture, mask[at], name)
    # Rows of a picture run down, columns to the right.
    return _png(np.ascontiguousarray(picture.T[::-1]))


def _mark(picture: np.ndarray, mask: np.ndarray, name: str) -> None:
    i, j = np.indices(picture.shape)
    color, black = _NUMBER[name], _NUMBER["black"]
    if name == "missed":
        # Red on grey of the same brightness is nothing in black and white: the white dots are.
        picture[mask & ((i // 4 + j // 4) % 2 == 0)] = color
        picture[mask & ((i // 4 + j // 4) % 2 == 0) & (i % 4 // 2 + j % 4 // 2 == 0)] = _NUMBER["white"]
    elif name == "band":
        picture[mask & ((i + j) % 10 < 2)] = color
    elif name == "truth":
        picture[mask & ~_shrunk(mask, 3)] = black
        picture[mask & ~_shrunk(mask, 2)] = color
    else:
        # The set's outline lies around it, where that of a truth with the same border does not hide it. Dashes are
        # black between, to be seen on any ground; their slope is one that outlines seldom have.
        around = ~_shrunk(~mask, 3) & ~mask if name == "set" else mask & ~_shrunk(mask, 2)
        at_edge = mask & ~_shrunk(mask, 3, beyond=False)
        rim, period = (around | at_edge, 16) if name == "set" else (around, 6)
        picture[rim] = np.where((2 * i + 3 * j) // period % 2 == 0, color, black)[rim]


def _shrunk(mask: np.ndarray, width: int, beyond: bool = True) -> np.ndarray:
    """Without the pixels near its border; what lies beyond the picture belongs to it or not."""
    padded = np.pad(mask, width, constant_values=beyond)
    rows = np.logical_and.reduce([padded[d : d + mask.shape[0]] for d in range(2 * width + 1)])
    return np.logical_and.reduce([rows[:, d : d + mask.shape[1]] for d in range(2 * width + 1)])


def _png(picture: np.ndarray) -> bytes:
    with needed("The report needs", "report", "matplotlib"):
        from PIL import Image
    image = Image.fromarray(picture, mode="P")
    greys = np.repeat(np.linspace(0, 255, _GREYS).round().astype(int), 3).tolist()
    image.putpalette([*greys, *(part for color in _COLORS.values() for part in color)])
    file = io.BytesIO()
    image.save(file, format="png", optimize=True)
    return file.getvalue()
