"""Where the slices of a series lie: their order and the affine of the volume, or why they are no straight stack."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.dicom.headers import file_of, has_value, number, numbers

__all__ = ["stacked"]

# Positions are written as decimal text of at most 16 characters; scanners round them to about a micrometre.
_RELATIVE, _MM = 0.01, 0.01
# Directions are often rounded to three digits.
_DIRECTION = 2e-3


def stacked(found: list[Any], path: Path) -> tuple[list[Any], np.ndarray]:
    r"""Sort slices along the normal of their planes, and tell where the volume lies.

    They are sorted by :math:`d = p \cdot (r \times c)`, for the position :math:`p` and the directions of rows and
    columns :math:`r, c`.

    Args:
        found: data sets of one series, see :py:func:`monai_rwcp.dicom.one_series.check_one_series`.
        path: the folder, for messages.

    Returns:
        the data sets in their order, and the affine ``[4, 4]`` of ``[columns, rows, slices]`` in mm, RAS as in NIfTI.

    Raises:
        ValueError: when two lie at one place, or they are not evenly apart, or shifted against each other.

    Source: DICOM PS3.3, section C.7.6.2 (image plane).
    """
    rows, columns = _directions(found[0])
    normal = np.cross(rows, columns)
    ordered = sorted(found, key=lambda dataset: float(np.dot(_position(dataset), normal)))
    down, across = numbers(ordered[0], "PixelSpacing", 2)
    if not min(down, across) > 0:
        raise ValueError(
            f"Expected PixelSpacing of '{file_of(ordered[0])}' to be two sizes in mm, but got {down:g} and {across:g}."
        )
    step = _step(ordered, normal, path)
    affine = np.eye(4)
    # The first axis runs along a row, from column to column, as in NIfTI.
    affine[:3] = np.stack([rows * across, columns * down, step, _position(ordered[0])], axis=1)
    # DICOM's axes point left and to the back, NIfTI's right and to the front.
    affine[:2] *= -1
    return ordered, affine


def _directions(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    both = numbers(dataset, "ImageOrientationPatient", 6)
    rows, columns = both[:3], both[3:]
    lengths = [float(np.linalg.norm(direction)) for direction in (rows, columns)]
    if np.abs(np.array(lengths) - 1).max() > _DIRECTION or abs(float(rows @ columns)) > _DIRECTION:
        raise ValueError(
            f"Expected ImageOrientationPatient of '{file_of(dataset)}' to be two directions of length 1 at a right "
            f"angle, but got {both.tolist()}. Its header is damaged."
        )
    return rows, columns


def _position(dataset: Any) -> np.ndarray:
    return numbers(dataset, "ImagePositionPatient", 3)


def _step(ordered: list[Any], normal: np.ndarray, path: Path) -> np.ndarray:
    """From one slice to the next; of a single slice its thickness along the normal."""
    if len(ordered) == 1:
        return normal * _thickness(ordered[0])
    positions = np.array([_position(dataset) for dataset in ordered])
    steps = np.diff(positions, axis=0)
    apart = steps @ normal
    usual = float(np.median(apart))
    slack = max(_MM, _RELATIVE * usual)
    if apart.min() <= _MM:
        at = int(apart.argmin())
        one, other = (file_of(dataset) for dataset in ordered[at : at + 2])
        raise ValueError(
            f"Slices {at} and {at + 1} in '{path}' lie at one place, {positions[at]} ('{one}' and '{other}'): two "
            "phases, echoes or copies in one series. Separate them."
        )
    if np.abs(apart - usual).max() > slack:
        at = int(np.abs(apart - usual).argmax())
        raise ValueError(
            f"The slices in '{path}' are not evenly apart: {apart[at]:.3f} mm after slice {at}, {usual:.3f} mm "
            f"usually. Slices are missing, or of another part of the body (look behind '{file_of(ordered[at])}')."
        )
    sideways = np.linalg.norm(steps - np.outer(apart, normal), axis=1).max()
    if sideways > slack:
        raise ValueError(
            f"The slices in '{path}' are shifted against each other by {sideways:.3f} mm a step (a tilted gantry): "
            "resample them to a straight stack first."
        )
    return np.asarray((positions[-1] - positions[0]) / (len(positions) - 1))


def _thickness(dataset: Any) -> float:
    if not has_value(dataset, "SliceThickness"):
        warnings.warn(
            f"'{file_of(dataset)}' is a single slice without SliceThickness: 1 mm is taken, and volumes in ml mean "
            "nothing.",
            stacklevel=5,
        )
        return 1.0
    thickness = number(dataset, "SliceThickness")
    if not thickness > 0:
        raise ValueError(
            f"Expected SliceThickness of '{file_of(dataset)}' to be a size in mm, but got {thickness:g}. Its header is "
            "damaged."
        )
    return thickness
