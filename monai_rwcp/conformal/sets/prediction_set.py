"""The prediction set of one score map under a calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import torch

from monai_rwcp.conformal.counting.labels import check_score, outside_field
from monai_rwcp.conformal.counting.losses.custom import CustomLoss
from monai_rwcp.conformal.counting.options import Outside
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.utils.arguments import check_choice

__all__ = ["prediction_set", "set_at"]


@torch.no_grad()
def prediction_set(
    score: torch.Tensor,
    calibration: Calibration,
    *,
    group: str | None = None,
    weight: float | None = None,
    outside: Outside = "include",
) -> torch.Tensor:
    r"""Take, for each calibrated class, the voxels whose score reaches the class's threshold.

    .. math:: C_c(\hat\lambda_c) = \{x : s_c(x) \ge 1 - \hat\lambda_c\}

    Scores are compared as they are (half precision in float32, which holds its values exactly).

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        calibration: the thresholds.
        group: the unit's group, for a calibration by groups.
        weight: the unit's weight, for a weighted calibration.
        outside: ``"include"``: voxels outside the processed field (every channel exactly 0) belong to every set,
            since nothing is known there; ``"exclude"``: they are treated as any other. Sets calibrated for a loss of
            excess (inner sets) never claim them.

    Returns:
        uint8 tensor of shape ``[C, *spatial]`` of 0 and 1; channels that were not calibrated (the background, unless
        asked for) are 0.

    Raises:
        ValueError: when the score is a mask, logits, batched or not finite, when it has other classes than the
            calibration, when its group or weight is missing or not known, or when voxels that the calibration counted
            as covered would be left out.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import LossTable, calibrate, false_negative_rate_table
        >>> score, label = torch.tensor([[[0.4, 0.9]], [[0.6, 0.1]]]), torch.tensor([[[1, 0]]])
        >>> table = LossTable.join(false_negative_rate_table(score, label, unit=str(i)) for i in range(20))
        >>> prediction_set(score, calibrate(table)).tolist()
        [[[0, 0]], [[1, 0]]]
    """
    check_score(score)
    if score.shape[0] != calibration.n_channels:
        raise ValueError(
            f"Expected a score of {calibration.n_channels} channels, as calibrated, but got {score.shape[0]} channels "
            f"(shape {tuple(score.shape)}). The calibration belongs to a network with other classes."
        )
    check_choice("outside", outside, get_args(Outside))
    counted = calibration.counting.outside
    if counted == "include" and outside == "exclude" and not calibration.loss.of_excess:
        raise ValueError(
            'The calibration counted voxels outside the processed field as covered (outside="include"), so leaving '
            'them out would break its promise. Use outside="include", or calibrate with outside="exclude".'
        )
    if isinstance(calibration.loss, CustomLoss) and counted != outside:
        raise ValueError(
            f'The loss {calibration.loss.title!r} was calibrated with outside="{counted}", and nobody '
            f'knows it on other sets: use outside="{counted}" here, too.'
        )
    include = outside == "include" and not calibration.loss.of_excess
    return set_at(score, calibration.thresholds_for(group, weight), include_outside=include)


def set_at(score: torch.Tensor, thresholds: Mapping[int, float], *, include_outside: bool) -> torch.Tensor:
    """Take the voxels of each class whose score reaches its threshold.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        thresholds: threshold of each class; at 0 the set is the whole image.
        include_outside: whether voxels outside the processed field belong to every set.

    Returns:
        uint8 tensor of shape ``[C, *spatial]`` of 0 and 1.
    """
    values = score.to(torch.promote_types(score.dtype, torch.float32))
    result = torch.zeros(score.shape, dtype=torch.uint8, device=score.device)
    for c, threshold in thresholds.items():
        # At threshold 0 the set is the whole image, also where rounding left a score just below 0.
        result[c] = 1 if threshold == 0 else values[c] >= threshold
    if include_outside:
        result[list(thresholds)] |= outside_field(score)
    return result
