"""From one image's score and truth to its row in the loss table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from monai_rwcp.conformal.counting.labels import (
    LabelMode,
    calibrated_classes,
    check_label,
    check_score,
    check_single_channel,
    truth_masks,
)
from monai_rwcp.conformal.counting.levels import threshold_levels
from monai_rwcp.conformal.counting.loss_table import Histogram, ImageCounts, LossTable, Outside
from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss
from monai_rwcp.conformal.counting.losses.choice import LossChoice, loss_from
from monai_rwcp.conformal.counting.losses.voxels import FalseNegativeRate
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.utils.arguments import check_weight

__all__ = ["case_loss_table", "false_negative_rate_table"]

_SLAB_VOXELS = 2**21
_WEIGHT_STEPS = 2**16
_LARGEST_WEIGHT = 2**10


@torch.no_grad()
def case_loss_table(
    score: torch.Tensor,
    label: torch.Tensor,
    *,
    loss: LossChoice,
    unit: str,
    image: str | None = None,
    group: str | None = None,
    shift_weight: float | None = None,
    weight: torch.Tensor | None = None,
    spacing: Sequence[float] | None = None,
    label_mode: LabelMode = "index",
    include_background: bool = False,
    mask: torch.Tensor | None = None,
    outside: Outside = "include",
    unit_name: str = "image",
    provenance: ScoreRecord = UNRECORDED,
) -> LossTable:
    """Count a loss of one image at every threshold level.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        label: the truth on the same grid, see :py:func:`truth_masks` for its forms.
        loss: what is counted: a loss or its name.
        unit: name of the exchangeable unit the image belongs to (the patient).
        image: id of the image, unique among all images; None takes the unit's name (one image a unit).
        group: group of the unit (its scanner, say), for promises by group; None makes none.
        shift_weight: how much more often a unit like this is met in the population that is calibrated for; None
            where the calibration is for the population the images are from.
        weight: for ``"weighted_fnr"``, a map ``[1, *spatial]`` in [0, 1024].
        spacing: for a surface loss, the voxel size along each axis in mm.
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"`` (overlapping; every channel is a structure).
        include_background: whether channel 0 is calibrated too; regions have no background.
        mask: ``[1, *spatial]``, not 0 where voxels count; None counts all. With a mask the promise is about the voxels
            inside it, and says so.
        outside: ``"include"``: voxels outside the processed field (every channel exactly 0) count as covered, because
            the prediction set will include such voxels; ``"exclude"``: they count as any other. Losses of excess
            (inner sets) take them as any other, and so do their sets.
        unit_name: what a unit is, for people.
        provenance: how the score was made.

    Returns:
        a table of one image; join tables with :py:meth:`LossTable.join`.

    Raises:
        ValueError: when the score is a mask, logits, batched or not finite, label, mask, weight or spacing do not fit
            or are missing, or a custom loss is not one that can be calibrated.
        ImportError: when the loss needs a package that is missing.

    Source: arXiv 2208.02814, section 3.

    Example:
        >>> import torch
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> table = case_loss_table(score, torch.tensor([[[0, 1, 1]]]), loss="instance_fnr", unit="anna")
        >>> int(table.true(1)[0])
        1
    """
    loss = loss_from(loss)
    check_score(score)
    if outside not in ("include", "exclude"):
        raise ValueError(f'Expected `outside` to be "include" or "exclude", but got {outside!r}.')
    classes = calibrated_classes(score.shape[0], label_mode, include_background)
    check_label(label, score, label_mode)
    if mask is not None:
        check_single_channel("mask", mask, score)
    weights = _weights(weight, loss, score)
    sizes = _sizes(spacing, loss, score)
    kept: Outside = "exclude" if loss.of_excess else outside
    true, false = _Counts(classes, score.device), _Counts(classes, score.device)
    # Slab by slab, where the loss allows it: a volume needs no second one beside it.
    for slab in _slabs(score.shape[1:]) if loss.by_slab else [slice(None)]:
        part = score[:, slab]
        counted = None if mask is None else mask[0, slab] != 0
        for c, truth in truth_masks(label[:, slab], part, classes, label_mode, counted).items():
            slab_weights = None if weights is None else weights[slab]
            case = ClassCase(part, c, truth, counted, kept, slab_weights, sizes)
            missed, claimed = loss.count(case)
            true.add(c, missed)
            if claimed is not None:
                false.add(c, claimed)
    counts = ImageCounts(
        unit,
        true.histograms(),
        false.histograms() if loss.of_excess else {},
        group,
        None if shift_weight is None else check_weight(shift_weight),
    )
    return LossTable(
        n_channels=score.shape[0],
        classes=classes,
        images={unit if image is None else image: counts},
        label_mode=label_mode,
        outside=outside,
        unit_name=unit_name,
        provenance=provenance,
        loss=loss,
        masked=mask is not None,
    )


def false_negative_rate_table(score: torch.Tensor, label: torch.Tensor, *, unit: str, **options: Any) -> LossTable:
    r"""Count, for one image, how many true voxels every threshold misses.

    .. math:: L(\lambda) = \frac{\#\{x \in Y : s(x) < 1 - \lambda\}}{\#Y}

    Args:
        score, label, unit, options: see :py:func:`case_loss_table`, which this is with the false negative rate.

    Returns:
        a table of one image; join tables with :py:meth:`LossTable.join`.

    Raises:
        ValueError: as :py:func:`case_loss_table`.

    Source: arXiv 2208.02814, section 3 (false negative rate in segmentation).

    Example:
        >>> import torch
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> table = false_negative_rate_table(score, torch.tensor([[[0, 1, 1]]]), unit="anna")
        >>> int(table.true(1)[0]), int(table.missed(1)[0, -1])
        (2, 2)
    """
    return case_loss_table(score, label, loss=FalseNegativeRate(), unit=unit, **options)


class _Counts:
    def __init__(self, classes: tuple[int, ...], device: torch.device) -> None:
        n = len(threshold_levels())
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


def _sizes(spacing: Sequence[float] | None, loss: SetLoss, score: torch.Tensor) -> tuple[float, ...] | None:
    if not loss.needs_spacing:
        return None
    sizes = () if spacing is None else tuple(float(s) for s in spacing)
    if len(sizes) != score.ndim - 1 or not np.all((np.array(sizes) > 0) & np.isfinite(sizes)):
        raise ValueError(
            f"The loss {loss.name!r} measures in mm and needs {score.ndim - 1} voxel sizes above 0, but got "
            f"{None if spacing is None else list(sizes)}. Load images as MetaTensor, or give `spacing`."
        )
    return sizes
