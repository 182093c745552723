"""How far the sets of a few candidates reach from the truth, for tuning by distance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from monai_rwcp.conformal.counting.labels import LabelMode, truth_masks
from monai_rwcp.conformal.sets.prediction_set import set_at
from monai_rwcp.metrics.surfaces import surface_distances
from monai_rwcp.utils.voxels import Voxel

__all__ = ["finalists", "mean_by_unit", "set_distances"]

_FINALISTS = 4


def finalists(order: Sequence[tuple[str, float]]) -> list[int]:
    """Pick the few best of each kind, whose sets are worth measuring.

    Args:
        order: kind and value of each, where less is better.

    Returns:
        numbers of the picked, ascending.

    Example:
        >>> finalists([("blur", 5.0), ("plain", 1.0), ("blur", 4.0), ("blur", 3.0), ("blur", 2.0), ("blur", 1.0)])
        [1, 2, 3, 4, 5]
    """
    picked: list[int] = []
    for kind in {kind for kind, _ in order}:
        of_kind = [i for i, (other, _) in enumerate(order) if other == kind]
        picked += sorted(of_kind, key=lambda i: order[i][1])[:_FINALISTS]
    return sorted(picked)


@torch.no_grad()
def set_distances(
    score: torch.Tensor,
    label: torch.Tensor,
    thresholds: Mapping[int, float],
    *,
    label_mode: LabelMode = "index",
    mask: torch.Tensor | None = None,
    voxel: Voxel | None = None,
) -> list[float]:
    """Measure the 95th percentile of the surface distance of the sets of one image, class by class.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        label: the truth on the same grid, see :py:func:`monai_rwcp.conformal.truth_masks` for its forms.
        thresholds: by class.
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"``.
        mask: ``[1, *spatial]``, not 0 where voxels count; None counts all.
        voxel: its edges in mm; None measures in voxels.

    Returns:
        for each class the distance in mm or voxels; nan without truth; the diagonal of the image for an empty set.

    Example:
        >>> label = torch.tensor([[[0, 1, 1]]])
        >>> set_distances(torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]]), label, {1: 0.5})
        [0.0]
    """
    counted = None if mask is None else mask[0] != 0
    truths = truth_masks(label, score, tuple(thresholds), label_mode, counted)
    size = Voxel.straight([1.0] * (score.ndim - 1)) if voxel is None else voxel
    diagonal = size.diagonal(score.shape[1:])
    found = []
    sets = set_at(score, thresholds).bool()
    for c in thresholds:
        claimed = sets[c] if counted is None else sets[c] & counted
        if not truths[c].any():
            found.append(math.nan)
        elif not claimed.any():
            found.append(diagonal)
        else:
            found.append(surface_distances(claimed, truths[c], size)[1])
    return found


def mean_by_unit(values: np.ndarray, owners: Sequence[str], units: Sequence[str]) -> np.ndarray:
    """Average over the images of each unit that have a value.

    Args:
        values: float ``[images, classes]``, nan where an image has none.
        owners: the unit of each image.
        units: names of the units.

    Returns:
        float64 ``[units, classes]``; nan where no image of a unit has a value.

    Example:
        >>> mean_by_unit(np.array([[1.0], [3.0], [np.nan]]), ["anna", "anna", "ben"], ["anna", "ben"]).tolist()
        [[2.0], [nan]]
    """
    result = np.full((len(units), values.shape[1]), np.nan)
    for row, unit in enumerate(units):
        of_unit = values[[owner == unit for owner in owners]]
        known = ~np.isnan(of_unit)
        some = known.any(axis=0)
        result[row, some] = np.where(known, of_unit, 0).sum(axis=0)[some] / known.sum(axis=0)[some]
    return result
