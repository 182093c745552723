"""Checks of what sets are measured by: masks of zeros and ones, voxel sizes above 0, an entry for each set."""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized

import torch

from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.voxels import Voxel

__all__ = ["check_entries", "check_mask", "check_spacing", "checked_voxel"]


def check_entries(n_sets: int, **named: Sized | None) -> None:
    """Refuse a batch in which something has not an entry for each prediction set.

    Args:
        n_sets: number of prediction sets in the batch.
        named: what belongs to the sets, by the name of its argument; None is not there.

    Raises:
        ValueError: when a number differs or is 0, or all entries are one string.

    Example:
        >>> check_entries(2, units=["anna", "ben"], strata=None)
    """
    for name, value in named.items():
        if isinstance(value, str) or (value is not None and not 0 < len(value) == n_sets):
            given = repr(value) if isinstance(value, str) else len(value)
            raise ValueError(
                f"Expected one entry in `{name}` for each prediction set of the batch, of which there are "
                f"{n_sets}, but got {given}. A single image needs a batch axis or a list around it."
            )


def check_spacing(spacing: Sequence[float] | None, n_axes: int) -> list[float] | None:
    """Give voxel sizes as floats, and refuse what are none.

    Raises:
        ValueError: when there is not one above 0 for each axis.
    """
    # MONAI refuses a mix of int and float, and measures with sizes of zero and below without a word.
    size = None if spacing is None else [float(s) for s in spacing]
    if size is not None and (len(size) != n_axes or not all(0 < s < math.inf for s in size)):
        raise ValueError(
            f"Expected {n_axes} voxel sizes in `spacing`, each above 0 and finite, but got {size}. Leave it out to "
            "measure in voxels."
        )
    return size


def checked_voxel(spacing: Sequence[float] | Voxel | None, *maps: torch.Tensor) -> Voxel | None:
    """Give the voxel of maps, and refuse sizes that are none.

    Args:
        spacing: a voxel, or its size along each axis; None where it is not known.
        maps: ``[*spatial]``; the first that carries an affine tells the angles.

    Raises:
        ValueError: when there is not a size above 0 for each axis.
    """
    n_axes = maps[0].ndim
    size = check_spacing(spacing.lengths if isinstance(spacing, Voxel) else spacing, n_axes)
    if size is None or isinstance(spacing, Voxel):
        return spacing if isinstance(spacing, Voxel) else None
    carried = next((voxel for value in maps if (voxel := voxel_of(value[None])) is not None), None)
    return Voxel.straight(size) if carried is None else carried.resized(size)


def check_mask(name: str, value: torch.Tensor) -> torch.Tensor:
    """Give a mask of zeros and ones as bool, and refuse anything else.

    Raises:
        ValueError: when it holds other values.
    """
    if not ((value == 0) | (value == 1)).all():
        raise ValueError(
            f"Expected `{name}` to hold zeros and ones, but its values of shape {tuple(value.shape)} run from "
            f"{float(value.min()):.4g} to {float(value.max()):.4g}. Threshold a score first; compare a label map with "
            "one class."
        )
    return value.bool()
