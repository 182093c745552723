"""What a prediction set is worth: how much of the truth it misses, how large it is, how it holds together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from monai.metrics import compute_dice

from monai_rwcp.metrics.checks import check_mask, checked_voxel
from monai_rwcp.metrics.surfaces import surface_distances
from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.voxels import Voxel

__all__ = ["SetMetrics", "pooled_false_negative_rate", "prediction_set_metrics"]


@dataclass(frozen=True)
class SetMetrics:
    """Figures of one prediction set of one class in one image; nan where a figure is not defined.

    All that is relative to the truth (false negative rate, stretch, Dice) is nan without truth. A surface is made of
    the voxels of a mask that share a face with a voxel outside it, and what lies beyond the image counts as outside:
    a set that covers the whole image has the image's border as its surface.

    Args:
        missed: number of true voxels that are not in the set.
        true: number of true voxels.
        size: number of voxels in the set.
        dice: Dice coefficient of set and truth; nan without truth.
        components: number of connected components of the set (voxels that share a face).
        average_surface_distance: mean distance to the other surface over the voxels of both surfaces together, in the
            unit of the spacing; nan when set or truth is empty.
        hausdorff_distance_95: the larger of the two 95th percentiles of these distances, one from set to truth and one
            from truth to set; unit and nan likewise.
    """

    missed: int
    true: int
    size: int
    dice: float
    components: int
    average_surface_distance: float
    hausdorff_distance_95: float

    @property
    def false_negative_rate(self) -> float:
        """Share of the true voxels that the set misses, in [0, 1]; nan without truth."""
        return self.missed / self.true if self.true else math.nan

    @property
    def stretch(self) -> float:
        """Size of the set over the size of the truth; nan without truth."""
        return self.size / self.true if self.true else math.nan


@torch.no_grad()
def prediction_set_metrics(
    prediction_set: torch.Tensor,
    truth: torch.Tensor,
    *,
    spacing: Sequence[float] | Voxel | None = None,
) -> SetMetrics:
    r"""Measure one prediction set of one class against the truth.

    .. math:: \mathrm{FNR} = |Y \setminus C| / |Y|, \qquad \mathrm{stretch} = |C| / |Y|

    for the set :math:`C` and the truth :math:`Y`. Dice and the distances are MONAI's own; the components are scipy's.

    Args:
        prediction_set: zeros and ones of shape ``[*spatial]``, 2D or 3D.
        truth: zeros and ones of the same shape.
        spacing: voxel size along each axis, in mm, above 0, or a voxel; None measures distances in voxels.

    Returns:
        the figures.

    Raises:
        ValueError: when shapes differ, values are not 0 or 1, or the spacing does not fit or is not above 0.
        ImportError: when scipy is missing.

    Example:
        >>> import torch
        >>> truth = torch.tensor([[0, 1, 1, 0]])
        >>> figures = prediction_set_metrics(torch.tensor([[1, 1, 0, 0]]), truth)
        >>> figures.false_negative_rate, figures.stretch, figures.components
        (0.5, 1.0, 1)
    """
    maps = {"set": ("prediction_set", prediction_set[None]), "truth": ("truth", truth[None])}
    check_same_grid(maps, set())
    found, true = check_mask("prediction_set", prediction_set), check_mask("truth", truth)
    if found.shape != true.shape or found.ndim not in (2, 3):
        raise ValueError(
            f"Expected `prediction_set` and `truth` of one 2D or 3D shape, but got {tuple(found.shape)} and "
            f"{tuple(true.shape)}. Take one class of one image at a time."
        )
    voxel = checked_voxel(spacing, prediction_set, truth)
    both = bool(found.any()) and bool(true.any())
    average, hausdorff = surface_distances(found, true, voxel) if both else (math.nan, math.nan)
    return SetMetrics(
        missed=int((true & ~found).sum()),
        true=int(true.sum()),
        size=int(found.sum()),
        dice=float(compute_dice(found[None, None].float(), true[None, None].float())) if true.any() else math.nan,
        components=_components(found),
        average_surface_distance=average,
        hausdorff_distance_95=hausdorff,
    )


def pooled_false_negative_rate(missed: Sequence[int], true: Sequence[int]) -> float:
    r"""Pool the false negative rate of one unit, such as a patient, over its images.

    .. math:: \textstyle\sum_j \mathrm{missed}_j / \sum_j \mathrm{true}_j

    A small slice weighs less than a large one, as it does in the calibration.

    Args:
        missed: true voxels that are not in the set, one integer an image, each from 0 to the image's true voxels.
        true: true voxels, one integer an image; 0 where an image does not show the class.

    Returns:
        the rate, in [0, 1]; nan when no image shows the class.

    Raises:
        ValueError: when the counts do not belong together.

    Example:
        >>> pooled_false_negative_rate([10, 0], [20, 80])
        0.1
    """
    if len(missed) != len(true) or not all(0 <= m <= t for m, t in zip(missed, true, strict=True)):
        raise ValueError(
            f"Expected one pair of counts an image with 0 <= missed <= true, but got missed {list(missed)} and true "
            f"{list(true)}. Take both from the same `SetMetrics`."
        )
    return sum(missed) / sum(true) if sum(true) else math.nan


def _components(found: torch.Tensor) -> int:
    with needed("Counting the components of a prediction set needs", "report", "scipy"):
        from scipy.ndimage import label
    return int(label(found.cpu().numpy())[1])
