"""How far the surfaces of two masks are apart: by MONAI's measures, and by the same rules on sheared grids."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.voxels import Voxel

__all__ = ["surface_distances"]


def surface_distances(found: torch.Tensor, true: torch.Tensor, voxel: Voxel | None) -> tuple[float, float]:
    """Average and 95th percentile distance between the surfaces of two bool masks that are not empty.

    Args:
        found, true: bool ``[*spatial]``. Volumes of one slice are measured within it, as images are.
        voxel: its edges in mm; None measures in voxels.
    """
    # Beyond the image is outside: the whole of a single slice would be surface.
    for axis in reversed(range(found.ndim)):
        if found.ndim == 3 and found.shape[axis] == 1:
            found, true = found.squeeze(axis), true.squeeze(axis)
            voxel = voxel and Voxel(voxel.edges[:axis] + voxel.edges[axis + 1 :])
    # MONAI crops too, but only after it has converted the whole volume. It puts a margin of background around what it
    # is given, so a mask that reaches the edge of this box keeps its surface there.
    either = found | true
    box: list[slice] = []
    for axis in range(either.ndim):
        used = either.any(dim=[d for d in range(either.ndim) if d != axis]).nonzero()
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    one, other = found[tuple(box)], true[tuple(box)]
    if voxel is not None and not voxel.is_straight:
        return _sheared(one.cpu().numpy(), other.cpu().numpy(), np.array(voxel.edges))
    spacing = None if voxel is None else voxel.lengths
    with warnings.catch_warnings():
        # MONAI 1.6 warns of an argument that it passes itself.
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*always_return_as_numpy.*")
        pair = (one[None, None], other[None, None])
        average = compute_average_surface_distance(*pair, include_background=True, symmetric=True, spacing=spacing)
        hausdorff = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing)
    return float(average), float(hausdorff)


def _sheared(one: np.ndarray, other: np.ndarray, edges: np.ndarray) -> tuple[float, float]:
    """MONAI's measures between the places of the voxels."""
    with needed("Surface distances need", "report", "scipy"):
        from scipy.ndimage import binary_erosion
        from scipy.spatial import KDTree
    places = [np.argwhere(mask & ~binary_erosion(mask)) @ edges for mask in (one, other)]
    there = KDTree(places[1]).query(places[0])[0]
    back = KDTree(places[0]).query(places[1])[0]
    return float(np.mean(np.concatenate([there, back]))), float(max(np.quantile(way, 0.95) for way in (there, back)))
