"""Where a map lies in mm, whatever unit of length the header of its file has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_rwcp.utils.voxels import Voxel

__all__ = ["MM_PER_UNIT", "affine_in_mm", "mm_per_unit", "voxel_of"]

MM_PER_UNIT = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}
"""How many mm the unit of length of a NIfTI header has, by its number: unknown (taken for mm, as everywhere), metre,
mm, micron."""


def mm_per_unit(meta: Mapping[str, Any]) -> float:
    """How many mm the unit has in which a map's affine is.

    MONAI's `NibabelReader` keeps the affine in the unit of the header, and the number of the unit (with that of time)
    in the meta data. ITK's readers have brought lengths to mm, and keep the number as text.

    Args:
        meta: the meta data of a `MetaTensor`.

    Raises:
        ValueError: when there is no such unit.

    Example:
        >>> mm_per_unit({"xyzt_units": np.array(3 + 8)}), mm_per_unit({})
        (0.001, 1.0)
    """
    number = meta.get("xyzt_units")
    if number is None or isinstance(number, str) or np.asarray(number).dtype.kind not in "iuf":
        return 1.0
    unit = int(np.asarray(number).reshape(-1)[0]) & 7
    if unit not in MM_PER_UNIT:
        raise ValueError(
            f"The header of '{meta.get('filename_or_obj')}' tells lengths in a unit of the number {unit}, which NIfTI "
            "does not have. Set its xyzt_units to 2 (mm), 3 (micron) or 1 (metre), whichever is right."
        )
    return MM_PER_UNIT[unit]


def affine_in_mm(value: MetaTensor) -> np.ndarray:
    """The affine of a map from voxels to mm, float64.

    Example:
        >>> affine_in_mm(MetaTensor(torch.zeros(1, 4, 4), affine=50 * torch.eye(3), meta={"xyzt_units": 3})).tolist()
        [[0.05, 0.0, 0.0], [0.0, 0.05, 0.0], [0.0, 0.0, 50.0]]
    """
    affine = torch.as_tensor(value.affine).detach().cpu().double().numpy().copy()
    affine[..., :-1, :] *= mm_per_unit(value.meta)
    return affine


def voxel_of(value: object) -> Voxel | None:
    """The voxel of a map ``[C, *spatial]``; None where it carries no affine.

    Example:
        >>> voxel_of(MetaTensor(torch.zeros(1, 4, 4), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0])))).lengths
        [2.0, 3.0]
    """
    if not isinstance(value, MetaTensor):
        return None
    columns = affine_in_mm(value)[:-1, : value.ndim - 1]
    return Voxel(tuple(map(tuple, columns.T.tolist())))
