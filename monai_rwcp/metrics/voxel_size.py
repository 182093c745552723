"""The voxel of each image of a batch, given or carried by the images themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.metrics.utils import prepare_spacing

from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.voxels import Voxel

__all__ = ["Batch", "Spacing", "volume_ml", "voxels_of"]

Batch = torch.Tensor | Sequence[torch.Tensor]
Spacing = float | Sequence[float] | Sequence[Sequence[float]] | Sequence[Voxel] | np.ndarray


def voxels_of(spacing: Spacing | None, *batches: Batch) -> list[Voxel | None]:
    """Find the voxel of each image of a batch.

    Args:
        spacing: voxel size in mm, as MONAI's surface metrics take it: one number, one for each axis, or these for each
            image; or a voxel for each image. None takes the size from the images. The angles are those of the images.
        batches: the same images in one or several forms, each ``[B, C, *spatial]`` or a list of ``[C, *spatial]``; the
            first of them that is a `MetaTensor` tells the voxel of an image.

    Returns:
        for each image its voxel; None where nothing tells.

    Raises:
        ValueError: when ``spacing`` does not fit the images (MONAI's message).

    Example:
        >>> voxels_of(1.5, torch.zeros(2, 1, 4, 4))[1].lengths
        [1.5, 1.5]
    """
    images = list(zip(*(list(batch) for batch in batches), strict=True))
    carried = [next((voxel for image in forms if (voxel := voxel_of(image)) is not None), None) for forms in images]
    if spacing is None:
        return carried
    if isinstance(spacing, Sequence) and (given := [voxel for voxel in spacing if isinstance(voxel, Voxel)]):
        return list(given)
    axes = images[0][0].ndim - 1
    sizes = cast(list[Any], prepare_spacing(cast(Any, spacing), len(images), axes))
    lengths = [np.broadcast_to(np.asarray(size, dtype=float), axes).tolist() for size in sizes]
    return [
        Voxel.straight(size) if voxel is None else voxel.resized(size)
        for size, voxel in zip(lengths, carried, strict=True)
    ]


def volume_ml(n_voxels: int, size: Sequence[float] | Voxel | None, slice_thickness: float | None = None) -> float:
    r"""Volume of a number of voxels.

    .. math:: n |\det A| / 1000

    with the edges of a voxel in the columns of :math:`A`; of a voxel of right angles it is the product of their
    lengths.

    Args:
        n_voxels: number of voxels.
        size: a voxel, or its size along each of 2 or 3 axes in mm; None where it is not known.
        slice_thickness: the third size of a 2D image's pixels in mm; None where it is not known.

    Returns:
        the volume in millilitres; nan where a size is not known.

    Example:
        >>> volume_ml(500, [1.0, 2.0, 2.0]), volume_ml(500, [1.0, 2.0]), volume_ml(500, [1.0, 2.0], slice_thickness=8)
        (2.0, nan, 8.0)
    """
    voxel = size if size is None or isinstance(size, Voxel) else Voxel.straight(size)
    if voxel is None or (len(voxel.edges) == 2 and slice_thickness is None):
        return math.nan
    thickness = slice_thickness if len(voxel.edges) == 2 and slice_thickness is not None else 1.0
    return n_voxels * voxel.size * thickness / 1000
