"""How far the surfaces of two masks are apart, by MONAI's measures."""

from __future__ import annotations

import warnings

import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

__all__ = ["surface_distances"]


def surface_distances(found: torch.Tensor, true: torch.Tensor, spacing: list[float] | None) -> tuple[float, float]:
    """Average and 95th percentile distance between the surfaces of two bool masks that are not empty."""
    # MONAI crops too, but only after it has converted the whole volume. It puts a margin of background around what it
    # is given, so a mask that reaches the edge of this box keeps its surface there.
    either = found | true
    box: list[slice] = []
    for axis in range(either.ndim):
        used = either.any(dim=[d for d in range(either.ndim) if d != axis]).nonzero()
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    one, other = found[tuple(box)][None, None], true[tuple(box)][None, None]
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it passes itself.
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*always_return_as_numpy.*")
        average = compute_average_surface_distance(one, other, include_background=True, symmetric=True, spacing=spacing)
        hausdorff = compute_hausdorff_distance(one, other, include_background=True, percentile=95, spacing=spacing)
    return float(average), float(hausdorff)
