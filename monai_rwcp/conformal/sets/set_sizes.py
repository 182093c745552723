"""How large the prediction sets of a score are at a few thresholds: set size against lambda."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from monai_rwcp.conformal.counting.labels import check_score

__all__ = ["curve_thresholds", "set_sizes"]

# Every half between -4 and 4, coarser outside: probabilities crowd at 0 and 1, where an even grid sees nothing.
_OUTER = (4.5, 5, 6, 7, 8, 10, 13, 16)
_LOGITS = (*(-logit for logit in reversed(_OUTER)), *np.arange(-4, 4.5, 0.5), *_OUTER)
_PART = 1 << 22


@lru_cache(maxsize=1)
def curve_thresholds() -> np.ndarray:
    """Give the thresholds at which set sizes are counted, ``logistic(l)`` for 33 ``l`` from -16 to 16.

    Returns:
        read-only float32 array of shape ``[33]``, strictly ascending in (0, 1).

    Example:
        >>> len(curve_thresholds()), float(curve_thresholds()[16])
        (33, 0.5)
    """
    thresholds = (1 / (1 + np.exp(-np.array(_LOGITS)))).astype(np.float32)
    thresholds.setflags(write=False)
    return thresholds


@torch.no_grad()
def set_sizes(score: torch.Tensor, classes: Sequence[int]) -> dict[int, list[int]]:
    r"""Count the voxels of each class's prediction set at every threshold of :py:func:`curve_thresholds`.

    .. math:: |C_c(\lambda)| = \#\{x : s_c(x) \ge 1 - \lambda\}

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        classes: channel numbers of the classes wanted.

    Returns:
        for each class the number of voxels at each threshold, never rising.

    Raises:
        ValueError: when the score is a mask, leaves [0, 1], is batched or not finite.

    Example:
        >>> sizes = set_sizes(torch.tensor([[[0.2, 0.6, 0.7]]]), [0])[0]
        >>> sizes[0], sizes[16], sizes[-1]
        (3, 2, 0)
    """
    check_score(score)
    dtype = torch.promote_types(score.dtype, torch.float32)
    thresholds = torch.tensor(curve_thresholds(), dtype=dtype, device=score.device)
    sizes = {}
    for c in classes:
        values = score[c].flatten()
        counts = torch.zeros(len(thresholds) + 1, dtype=torch.int64, device=score.device)
        # Part by part: a volume needs no second one beside it.
        for start in range(0, len(values), _PART):
            part = slice(start, start + _PART)
            reached = torch.searchsorted(thresholds, values[part].to(dtype), right=True)
            counts += torch.bincount(reached, minlength=len(counts))
        sizes[c] = counts[1:].flip(0).cumsum(0).flip(0).tolist()
    return sizes
