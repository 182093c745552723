"""How wide the band between an inner and an outer set is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from monai_rwcp.metrics.checks import check_mask, checked_voxel
from monai_rwcp.metrics.surfaces import surface_distances
from monai_rwcp.metrics.voxel_size import volume_ml
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.voxels import Voxel

__all__ = ["SandwichMetrics", "sandwich_metrics"]


@dataclass(frozen=True)
class SandwichMetrics:
    """Figures of the band between an inner and an outer set of one class in one image.

    Args:
        inner_size: number of voxels in the inner set.
        outer_size: number of voxels in the outer set.
        band_volume: volume of the band in ml, or nan without a spacing and for 2D images.
        band_width: mean distance between the two surfaces, over the voxels of both, in the unit of the spacing; nan
            when a set is empty.
    """

    inner_size: int
    outer_size: int
    band_volume: float
    band_width: float


@torch.no_grad()
def sandwich_metrics(
    inner: torch.Tensor, outer: torch.Tensor, *, spacing: Sequence[float] | Voxel | None = None
) -> SandwichMetrics:
    r"""Measure the band between an inner and an outer set of one class.

    .. math:: V = (|C_{out}| - |C_{in}|) \cdot |\det A| / 1000

    Args:
        inner: zeros and ones of shape ``[*spatial]``, 2D or 3D.
        outer: zeros and ones of the same shape, 1 wherever ``inner`` is.
        spacing: voxel size along each axis in mm, or a voxel; None measures the width in voxels.

    Returns:
        the figures.

    Raises:
        ValueError: when shapes differ, values are not 0 or 1, the inner set is not inside the outer one, or the
            spacing does not fit.

    Example:
        >>> import torch
        >>> inner, outer = torch.zeros(5, 5, 5), torch.zeros(5, 5, 5)
        >>> inner[2, 2, 2], outer[1:4, 1:4, 1:4] = 1, 1
        >>> round(sandwich_metrics(inner, outer, spacing=(1, 1, 2)).band_volume, 3)
        0.052
    """
    check_same_grid({"inner set": ("inner", inner[None]), "outer set": ("outer", outer[None])}, set())
    small, large = check_mask("inner", inner), check_mask("outer", outer)
    if small.shape != large.shape or small.ndim not in (2, 3):
        raise ValueError(
            f"Expected `inner` and `outer` of one 2D or 3D shape, but got {tuple(small.shape)} and "
            f"{tuple(large.shape)}. Take one class of one image at a time."
        )
    if bool((small & ~large).any()):
        raise ValueError(
            f"Expected the inner set inside the outer one, but {int((small & ~large).sum())} of its voxels are not. "
            "Take both from one ConformalSandwich."
        )
    voxel = checked_voxel(spacing, inner, outer)
    inner_size, outer_size = int(small.sum()), int(large.sum())
    return SandwichMetrics(
        inner_size=inner_size,
        outer_size=outer_size,
        band_volume=volume_ml(outer_size - inner_size, voxel),
        band_width=surface_distances(small, large, voxel)[0] if bool(small.any()) else math.nan,
    )
