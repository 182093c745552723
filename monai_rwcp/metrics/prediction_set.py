"""What a prediction set is worth: how much of the truth it misses, how large it is, how it holds together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

__all__ = ["SetMetrics", "prediction_set_metrics"]


@dataclass(frozen=True)
class SetMetrics:
    """Figures of one prediction set of one class in one image; nan where a figure is not defined.

    Args:
        missed: number of true voxels that are not in the set.
        true: number of true voxels.
        size: number of voxels in the set.
        size_outside: number of these outside the processed field, where the network saw nothing.
        dice: Dice coefficient of set and truth; nan without truth.
        components: number of connected components of the set (voxels that share a face).
        average_surface_distance: symmetric mean surface distance, in the unit of the spacing; nan when set or truth
            is empty.
        hausdorff_distance_95: 95th percentile of the surface distances, likewise.
    """

    missed: int
    true: int
    size: int
    size_outside: int
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

    @property
    def stretch_inside(self) -> float:
        """Stretch without the voxels outside the processed field."""
        return (self.size - self.size_outside) / self.true if self.true else math.nan


@torch.no_grad()
def prediction_set_metrics(
    prediction_set: torch.Tensor,
    truth: torch.Tensor,
    *,
    spacing: Sequence[float] | None = None,
    outside: torch.Tensor | None = None,
) -> SetMetrics:
    """Measure one prediction set of one class against the truth.

    Dice and the distances are MONAI's own; the components are scipy's.

    Args:
        prediction_set: zeros and ones of shape ``[*spatial]``, 2D or 3D.
        truth: zeros and ones of the same shape.
        spacing: voxel size along each axis, in mm; None measures distances in voxels.
        outside: bool ``[*spatial]``, true outside the processed field; None stands for nowhere.

    Returns:
        the figures.

    Raises:
        ValueError: when shapes differ, values are not 0 or 1, or the spacing does not fit.
        ImportError: when scipy is missing.

    Example:
        >>> import torch
        >>> truth = torch.tensor([[0, 1, 1, 0]])
        >>> figures = prediction_set_metrics(torch.tensor([[1, 1, 0, 0]]), truth)
        >>> figures.false_negative_rate, figures.stretch, figures.components
        (0.5, 1.0, 1)
    """
    found, true = _mask("prediction_set", prediction_set), _mask("truth", truth)
    if found.shape != true.shape or found.ndim not in (2, 3):
        raise ValueError(
            f"Expected `prediction_set` and `truth` of one 2D or 3D shape, but got {tuple(found.shape)} and "
            f"{tuple(true.shape)}. Take one class of one image at a time."
        )
    if spacing is not None and len(spacing) != found.ndim:
        raise ValueError(f"Expected {found.ndim} voxel sizes in `spacing`, but got {list(spacing)}.")
    both = bool(found.any()) and bool(true.any())
    average, hausdorff = _surface_distances(found, true, spacing) if both else (math.nan, math.nan)
    return SetMetrics(
        missed=int((true & ~found).sum()),
        true=int(true.sum()),
        size=int(found.sum()),
        size_outside=0 if outside is None else int((found & outside.to(found)).sum()),
        dice=float(compute_dice(found[None, None].float(), true[None, None].float())) if true.any() else math.nan,
        components=_components(found),
        average_surface_distance=average,
        hausdorff_distance_95=hausdorff,
    )


def _mask(name: str, value: torch.Tensor) -> torch.Tensor:
    if not ((value == 0) | (value == 1)).all():
        raise ValueError(f"Expected `{name}` to hold zeros and ones, but it ranges to {float(value.max()):.4g}.")
    return value.bool()


def _surface_distances(found: torch.Tensor, true: torch.Tensor, spacing: Sequence[float] | None) -> tuple[float, float]:
    one, other = found[None, None], true[None, None]
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it passes itself.
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*always_return_as_numpy.*")
        average = compute_average_surface_distance(
            one, other, include_background=True, symmetric=True, spacing=None if spacing is None else list(spacing)
        )
        hausdorff = compute_hausdorff_distance(
            one, other, include_background=True, percentile=95, spacing=None if spacing is None else list(spacing)
        )
    return float(average), float(hausdorff)


def _components(found: torch.Tensor) -> int:
    try:
        from scipy.ndimage import label
    except ModuleNotFoundError as error:
        raise ImportError(
            'Counting the components of a prediction set needs scipy: pip install "monai-rwcp[report]".'
        ) from error
    return int(label(found.cpu().numpy())[1])
