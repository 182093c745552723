"""Counting the losses of one image at every threshold level, slab by slab."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from monai_rwcp.conformal.counting.image_counts import Histogram, ImageCounts, TrueVoxels
from monai_rwcp.conformal.counting.labels import check_label, check_score, check_single_channel, truth_masks
from monai_rwcp.conformal.counting.levels import threshold_levels
from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.utils.arguments import check_weight
from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.names import name_as_text, optional_name
from monai_rwcp.utils.voxels import Voxel

__all__ = ["count_case"]

_SLAB_VOXELS = 2**21
_WEIGHT_STEPS = 2**16
_LARGEST_WEIGHT = 2**10


@torch.no_grad()
def count_case(
    score: torch.Tensor,
    label: torch.Tensor,
    counting: CountingOptions,
    *,
    loss: SetLoss,
    unit: str,
    image: str | None,
    group: str | None,
    shift_weight: float | None,
    weight: torch.Tensor | None,
    spacing: Sequence[float] | Voxel | None,
    mask: torch.Tensor | None,
    unit_name: str,
    provenance: ScoreRecord,
) -> LossTable:
    """Count a loss of one image.

    Args:
        counting: what is counted; masked where there is a ``mask``.
        score, label, loss, unit, image, group, shift_weight, weight, spacing, mask, unit_name, provenance: see
            :py:func:`case_loss_table`.
    """
    check_score(score)
    classes = counting.classes(score.shape[0])
    check_label(label, score, counting.label_mode)
    if mask is not None:
        check_single_channel("mask", mask, score)
    weights = _weights(weight, loss, score)
    voxel = _voxel(spacing, loss, score)
    n = len(threshold_levels())
    true, false = _Counts(classes, n, score.device), _Counts(classes, n, score.device)
    voxels = _Counts(classes, 2, score.device)
    # Slab by slab, where the loss allows it: a volume needs no second one beside it.
    for slab in _slabs(score.shape[1:]) if loss.by_slab else [slice(None)]:
        part = score[:, slab]
        counted = None if mask is None else mask[0, slab] != 0
        for c, truth in truth_masks(label[:, slab], part, classes, counting.label_mode, counted).items():
            slab_weights = None if weights is None else weights[slab]
            case = ClassCase(part, c, truth, counted, slab_weights, voxel)
            missed, claimed = loss.count(case)
            true.add(c, missed)
            voxels.add(c, torch.stack([truth.sum(), (truth & (part[c] <= 0)).sum()]))
            if claimed is not None:
                false.add(c, claimed)
    unit = name_as_text(unit, "`unit`")
    counts = ImageCounts(
        unit,
        true.histograms(),
        false.histograms() if loss.of_excess else {},
        optional_name(group, "`group`"),
        None if shift_weight is None else check_weight(shift_weight),
        {c: TrueVoxels(*number.tolist()) for c, number in voxels.total.items()},
    )
    return LossTable(
        n_channels=score.shape[0],
        classes=classes,
        images={unit if image is None else name_as_text(image, "`image`"): counts},
        counting=counting.of_table(),
        unit_name=unit_name,
        provenance=provenance,
        loss=loss,
    )


class _Counts:
    def __init__(self, classes: tuple[int, ...], n: int, device: torch.device) -> None:
        self.total = {c: torch.zeros(n, dtype=torch.int64, device=device) for c in classes}

    def add(self, class_index: int, counts: torch.Tensor) -> None:
        self.total[class_index] += counts.to(self.total[class_index].device)

    def histograms(self) -> dict[int, Histogram]:
        return {c: Histogram.of(number.cpu().numpy()) for c, number in self.total.items()}


def _slabs(shape: Sequence[int]) -> Iterator[slice]:
    """Parts of the first axis that hold some millions of voxels each."""
    length = max(1, _SLAB_VOXELS * shape[0] // max(1, math.prod(shape)))
    return (slice(start, start + length) for start in range(0, shape[0], length))


def _weights(weight: torch.Tensor | None, loss: SetLoss, score: torch.Tensor) -> torch.Tensor | None:
    if loss.needs_weight != (weight is not None):
        raise ValueError(
            f"The loss {loss.name!r} needs a weight map (`weight_key`), but there is none."
            if weight is None
            else f'A weight map was given, but the loss {loss.name!r} has no use for it: take loss="weighted_fnr".'
        )
    if weight is None:
        return None
    check_single_channel("weight map", weight, score)
    values = weight[0].double()
    if not bool((values >= 0).all()) or not bool((values <= _LARGEST_WEIGHT).all()):
        raise ValueError(
            f"Expected weights from 0 to {_LARGEST_WEIGHT}, but they run from {float(values.min()):.6g} to "
            f"{float(values.max()):.6g}. Only their proportions matter: divide them by a number."
        )
    steps = (values * _WEIGHT_STEPS).round().long()
    if not bool(steps.any()):
        raise ValueError(
            f"Expected some weight above 1/{_WEIGHT_STEPS} in the weight map, but its highest is "
            f"{float(values.max()):.6g}."
        )
    return steps


def _voxel(spacing: Sequence[float] | Voxel | None, loss: SetLoss, score: torch.Tensor) -> Voxel | None:
    if not loss.needs_spacing:
        return None
    given = spacing.lengths if isinstance(spacing, Voxel) else spacing
    sizes = () if given is None else tuple(float(s) for s in given)
    if len(sizes) != score.ndim - 1 or not np.all((np.array(sizes) > 0) & np.isfinite(sizes)):
        raise ValueError(
            f"The loss {loss.name!r} measures in mm and needs {score.ndim - 1} voxel sizes above 0, but got "
            f"{None if given is None else list(sizes)}. Load images as MetaTensor, or give `spacing`."
        )
    if isinstance(spacing, Voxel):
        return spacing
    carried = voxel_of(score)
    return Voxel.straight(sizes) if carried is None else carried.resized(sizes)
