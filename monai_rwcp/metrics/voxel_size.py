"""The voxel size of each image of a batch, given or carried by the images themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from monai.metrics.utils import prepare_spacing

__all__ = ["Batch", "Spacing", "volume_ml", "voxel_sizes"]

Batch = torch.Tensor | Sequence[torch.Tensor]
Spacing = float | Sequence[float] | Sequence[Sequence[float]] | np.ndarray


def voxel_sizes(spacing: Spacing | None, *batches: Batch) -> list[list[float] | None]:
    """Find the voxel size of each image of a batch.

    Args:
        spacing: voxel size in mm, as MONAI's surface metrics take it: one number, one for each axis, or these for each
            image. None takes it from the images.
        batches: the same images in one or several forms, each ``[B, C, *spatial]`` or a list of ``[C, *spatial]``; the
            first of them that is a `MetaTensor` tells the size of an image.

    Returns:
        for each image its size along each axis in mm; None where neither is known.

    Raises:
        ValueError: when ``spacing`` does not fit the images (MONAI's message).

    Example:
        >>> voxel_sizes(1.5, torch.zeros(2, 1, 4, 4))
        [[1.5, 1.5], [1.5, 1.5]]
        >>> voxel_sizes(None, [torch.zeros(1, 4, 4)], [MetaTensor(torch.zeros(1, 4, 4))])
        [[1.0, 1.0]]
    """
    axes = batches[0][0].ndim - 1
    if spacing is None:
        carried = zip(*(_carried_sizes(batch, axes) for batch in batches), strict=True)
        return [next((size for size in sizes if size is not None), None) for sizes in carried]
    given = prepare_spacing(spacing, len(batches[0]), axes)
    return [np.broadcast_to(np.asarray(size, dtype=float), axes).tolist() for size in given]


def volume_ml(n_voxels: int, size: Sequence[float] | None, slice_thickness: float | None = None) -> float:
    r"""Volume of a number of voxels.

    .. math:: n \prod_a s_a / 1000

    Args:
        n_voxels: number of voxels.
        size: voxel size along each of 2 or 3 axes in mm; None where it is not known.
        slice_thickness: the third size of a 2D image's pixels in mm; None where it is not known.

    Returns:
        the volume in millilitres; nan where a size is not known.

    Example:
        >>> volume_ml(500, [1.0, 2.0, 2.0]), volume_ml(500, [1.0, 2.0]), volume_ml(500, [1.0, 2.0], slice_thickness=8)
        (2.0, nan, 8.0)
    """
    if size is None or (len(size) == 2 and slice_thickness is None):
        return math.nan
    thickness = slice_thickness if len(size) == 2 and slice_thickness is not None else 1.0
    return n_voxels * math.prod(size) * thickness / 1000


def _carried_sizes(batch: Batch, axes: int) -> list[list[float] | None]:
    if isinstance(batch, MetaTensor):
        sizes = batch.pixdim if batch.is_batch else [batch.pixdim] * len(batch)
        return [[float(s) for s in size[:axes]] for size in sizes]
    return [[float(s) for s in v.pixdim[:axes]] if isinstance(v, MetaTensor) else None for v in batch]
