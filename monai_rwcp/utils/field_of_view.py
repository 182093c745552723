"""Whether features cover the field of view of the map that they belong to."""

from __future__ import annotations

from itertools import product

import numpy as np
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor

from monai_rwcp.utils.same_grid import lie_alike

__all__ = ["check_field_of_view"]


def check_field_of_view(probabilities: NdarrayOrTensor, features: NdarrayOrTensor) -> None:
    """Refuse features that lie elsewhere in space than the map, where both say where they lie.

    Features lie on a coarser grid, so the corners of the two fields are compared.

    Args:
        probabilities: the map, ``[C, *spatial]``.
        features: ``[F, *grid]`` of the same image.

    Raises:
        ValueError: when a corner differs by more than half a voxel of the map.

    Example:
        >>> import torch
        >>> check_field_of_view(MetaTensor(torch.rand(2, 8, 8)), MetaTensor(torch.rand(4, 4, 4)))
    """
    if not (isinstance(probabilities, MetaTensor) and isinstance(features, MetaTensor)):
        return
    if probabilities.ndim != features.ndim:
        return
    here, there = (np.asarray(value.affine.detach().cpu(), dtype=float) for value in (probabilities, features))
    # Features straight out of a network's forward pass still carry the image's own affine on a coarser grid.
    if lie_alike(here, there, probabilities.shape[1:]):
        return
    rank = min(len(here), len(there)) - 1
    corners = [_corners(probabilities, here, rank), _corners(features, there, rank)]
    voxel = float(probabilities.pixdim[: probabilities.ndim - 1].min())
    apart = np.abs(corners[0] - corners[1]).max(axis=1)
    if not apart.max() <= 0.5 * voxel:
        of_map, of_features = (np.round(ends[apart.argmax()], 2).tolist() for ends in corners)
        raise ValueError(
            f"the features cover another field of view than the map: corners such as {of_features} instead of "
            f"{of_map}. Compute both on the same side of Invertd, from the same image."
        )


def _corners(value: MetaTensor, affine: np.ndarray, rank: int) -> np.ndarray:
    """All of them: two that face each other stay where they are when axes are exchanged."""
    ends = np.array(list(product(*[(-0.5, n - 0.5) for n in value.shape[1:]])))
    return ends @ affine[:rank, : value.ndim - 1].T + affine[:rank, -1]
