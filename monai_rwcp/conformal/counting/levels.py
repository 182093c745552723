"""The fixed grid of thresholds on which loss curves are counted."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

__all__ = ["EMPTY_SET", "LEVEL_GRID", "level_of", "threshold_levels"]

LEVEL_GRID = "logit-1"
"""Name of the grid; counts made on grids of different names must never be joined."""

EMPTY_SET = 2.0
"""Threshold of the empty set: no score reaches it."""


@lru_cache(maxsize=1)
def threshold_levels() -> np.ndarray:
    r"""Give the thresholds a calibration chooses from.

    .. math:: t_0 = 0 < t_j = \operatorname{logistic}(l_j) < t_{L-1} = 1

    with :math:`l_j` from -87 (the smallest normal float32) to 16.6 (above it a float32 softmax is exactly 1): every
    1/256 between -8 and 8, coarser outside. Networks push most probabilities against 0 and 1, where an even grid
    would put them all into one step.

    Returns:
        read-only float32 array of shape ``[L]``, strictly ascending from 0 to 1.

    Example:
        >>> levels = threshold_levels()
        >>> float(levels[0]), float(levels[-1]), len(levels) > 5000
        (0.0, 1.0, True)
    """
    logits = np.concatenate([np.arange(-87, -8, 1 / 16), np.arange(-8, 8, 1 / 256), np.arange(8, 16.6, 1 / 128)])
    inner = (1 / (1 + np.exp(-logits))).astype(np.float32)
    levels = np.unique(np.concatenate([[np.float32(0)], inner[(inner > 0) & (inner < 1)], [np.float32(1)]]))
    levels.setflags(write=False)
    return levels


def level_of(score: torch.Tensor) -> torch.Tensor:
    """Index of the highest threshold that is not above each score.

    A voxel is in the prediction set at threshold ``t_j`` exactly when its level is at least ``j``, so that counts by
    level lose nothing. Half precision is compared in float32, which holds its values exactly.

    Args:
        score: float tensor of any shape; values below 0 by rounding belong to level 0.

    Returns:
        int64 tensor of the same shape in ``[0, L - 1]``.

    Example:
        >>> import torch
        >>> level_of(torch.tensor([0.0, 1.0])).tolist() == [0, len(threshold_levels()) - 1]
        True
    """
    dtype = torch.promote_types(score.dtype, torch.float32)
    levels = torch.tensor(threshold_levels(), dtype=dtype, device=score.device)
    return (torch.searchsorted(levels, score.to(dtype).contiguous(), right=True) - 1).clamp_(min=0)
