"""The false negative rate of one image at every threshold level."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from monai_rwcp.conformal.levels import level_of, threshold_levels
from monai_rwcp.conformal.loss_table import ImageCounts, LabelMode, LossTable, Outside
from monai_rwcp.conformal.provenance import UNRECORDED
from monai_rwcp.conformal.truth import calibrated_classes, check_label, check_score, outside_field, truth_masks

__all__ = ["false_negative_rate_table"]

_SLAB_VOXELS = 2**21


@torch.no_grad()
def false_negative_rate_table(
    score: torch.Tensor,
    label: torch.Tensor,
    *,
    unit: str,
    image: str | None = None,
    label_mode: LabelMode = "index",
    include_background: bool = False,
    mask: torch.Tensor | None = None,
    outside: Outside = "include",
    unit_name: str = "image",
    provenance: Mapping[str, Any] = UNRECORDED,
) -> LossTable:
    r"""Count, for one image, how many true voxels every threshold misses.

    .. math:: L(\lambda) = \frac{\#\{x \in Y : s(x) < 1 - \lambda\}}{\#Y}

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        label: the truth on the same grid, see :py:func:`truth_masks` for its forms.
        unit: name of the exchangeable unit the image belongs to (the patient).
        image: id of the image, unique among all images; None takes the unit's name (one image a unit).
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"`` (overlapping; every channel is a structure).
        include_background: whether channel 0 is calibrated too; regions have no background.
        mask: ``[1, *spatial]``, not 0 where voxels count; None counts all.
        outside: ``"include"``: true voxels outside the processed field (every channel exactly 0) count as covered,
            because the prediction set will include such voxels; ``"exclude"``: they count as any other.
        unit_name: what a unit is, for people.
        provenance: how the score was made.

    Returns:
        a table of one image; join tables with :py:meth:`LossTable.join`.

    Raises:
        ValueError: when the score is a mask, logits, batched or not finite, or label or mask do not fit.

    Source: arXiv 2208.02814, section 3 (false negative rate in segmentation).

    Example:
        >>> import torch
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> table = false_negative_rate_table(score, torch.tensor([[[0, 1, 1]]]), unit="anna")
        >>> int(table.true(1)[0]), int(table.missed(1)[0, -1])
        (2, 2)
    """
    check_score(score)
    if outside not in ("include", "exclude"):
        raise ValueError(f'Expected `outside` to be "include" or "exclude", but got {outside!r}.')
    classes = calibrated_classes(score.shape[0], label_mode, include_background)
    check_label(label, score, label_mode)
    _check_mask(mask, score)
    top = len(threshold_levels()) - 1
    by_level = {c: torch.zeros(top + 1, dtype=torch.int64, device=score.device) for c in classes}
    # Slab by slab: a volume needs no second one beside it.
    for slab in _slabs(score.shape[1:]):
        part = score[:, slab]
        counted = None if mask is None else mask[0, slab] != 0
        for c, true in truth_masks(label[:, slab], part, classes, label_mode, counted).items():
            at_truth = part[:, true]
            level = level_of(at_truth[c])
            if outside == "include":
                level[outside_field(at_truth)] = top
            by_level[c] += torch.bincount(level, minlength=top + 1)
    levels: dict[int, np.ndarray] = {}
    counts: dict[int, np.ndarray] = {}
    for c, number in by_level.items():
        levels[c] = number.nonzero().squeeze(1).cpu().numpy()
        counts[c] = number[number > 0].cpu().numpy()
    images = {unit if image is None else image: ImageCounts(unit, levels, counts)}
    return LossTable(score.shape[0], classes, images, label_mode, outside, unit_name, dict(provenance))


def _slabs(shape: Sequence[int]) -> Iterator[slice]:
    """Parts of the first axis that hold some millions of voxels each."""
    length = max(1, _SLAB_VOXELS * shape[0] // max(1, math.prod(shape)))
    return (slice(start, start + length) for start in range(0, shape[0], length))


def _check_mask(mask: torch.Tensor | None, score: torch.Tensor) -> None:
    if mask is not None and tuple(mask.shape) != (1, *score.shape[1:]):
        raise ValueError(
            f"Expected a mask of shape {(1, *score.shape[1:])} for a score of shape {tuple(score.shape)}, but got "
            f"{tuple(mask.shape)}."
        )
