"""The prediction set of one score map under a calibration."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from monai_rwcp.conformal.counting.labels import check_score
from monai_rwcp.conformal.promises.calibration import Calibration

__all__ = ["prediction_set", "set_at"]


@torch.no_grad()
def prediction_set(
    score: torch.Tensor,
    calibration: Calibration,
    *,
    group: str | None = None,
    weight: float | None = None,
) -> torch.Tensor:
    r"""Take, for each calibrated class, the voxels whose score reaches the class's threshold.

    .. math:: C_c(\hat\lambda_c) = \{x : s_c(x) \ge 1 - \hat\lambda_c\}

    Scores are compared as they are (half precision in float32, which holds its values exactly). An exact 0 is a score
    like any other: such a voxel is in the set at threshold 0 alone, where the set is the whole image.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        calibration: the thresholds.
        group: the unit's group, for a calibration by groups.
        weight: the unit's weight, for a weighted calibration.

    Returns:
        uint8 tensor of shape ``[C, *spatial]`` of 0 and 1; channels that were not calibrated (the background, unless
        asked for) are 0.

    Raises:
        ValueError: when the score is a mask, logits, batched or not finite, when it has other classes than the
            calibration, or when its group or weight is missing or not known.

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
    return set_at(score, calibration.thresholds_for(group, weight))


def set_at(score: torch.Tensor, thresholds: Mapping[int, float]) -> torch.Tensor:
    """Take the voxels of each class whose score reaches its threshold.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        thresholds: threshold of each class; at 0 the set is the whole image.

    Returns:
        uint8 tensor of shape ``[C, *spatial]`` of 0 and 1.
    """
    values = score.to(torch.promote_types(score.dtype, torch.float32))
    result = torch.zeros(score.shape, dtype=torch.uint8, device=score.device)
    for c, threshold in thresholds.items():
        # At threshold 0 the set is the whole image, also where rounding left a score just below 0.
        result[c] = 1 if threshold == 0 else values[c] >= threshold
    return result
