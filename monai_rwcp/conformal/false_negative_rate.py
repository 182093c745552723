"""The false negative rate of one image at every threshold level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from monai_rwcp.conformal.levels import level_of, threshold_levels
from monai_rwcp.conformal.loss_table import ImageCounts, LabelMode, LossTable, Outside
from monai_rwcp.conformal.provenance import UNRECORDED
from monai_rwcp.conformal.truth import calibrated_classes, check_score, outside_field, truth_masks

__all__ = ["false_negative_rate_table"]


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
    masks = truth_masks(label, score, classes, label_mode, _counted(mask, score))
    covered = outside_field(score) if outside == "include" else None
    top = len(threshold_levels()) - 1
    levels: dict[int, np.ndarray] = {}
    counts: dict[int, np.ndarray] = {}
    for c, true in masks.items():
        level = level_of(score[c][true])
        if covered is not None:
            level[covered[true]] = top
        by_level = torch.bincount(level, minlength=top + 1).cpu().numpy()
        levels[c] = np.flatnonzero(by_level)
        counts[c] = by_level[levels[c]]
    images = {unit if image is None else image: ImageCounts(unit, levels, counts)}
    return LossTable(score.shape[0], classes, images, label_mode, outside, unit_name, dict(provenance))


def _counted(mask: torch.Tensor | None, score: torch.Tensor) -> torch.Tensor:
    if mask is None:
        return torch.ones(score.shape[1:], dtype=torch.bool, device=score.device)
    if tuple(mask.shape) != (1, *score.shape[1:]):
        raise ValueError(
            f"Expected a mask of shape {(1, *score.shape[1:])} for a score of shape {tuple(score.shape)}, but got "
            f"{tuple(mask.shape)}."
        )
    return mask[0] != 0
