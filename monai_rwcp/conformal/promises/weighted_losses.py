"""Weighted conformal risk control: one threshold for each new case, for a population that has shifted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.utils.arguments import check_weight

__all__ = ["WeightedLosses", "weigh"]


@dataclass(frozen=True)
class WeightedLosses:
    r"""What weighted conformal risk control needs to know of the calibration units of one class.

    .. math:: \hat\lambda(x) = \inf\Big\{\lambda : \sum_i w_i L_i(\lambda) + w(x) \le
        \alpha \Big(\sum_i w_i + w(x)\Big)\Big\}

    Args:
        thresholds: from the safest to the boldest.
        losses: the weighted sum of losses at each of them, not decreasing; between two thresholds it is the bolder's.
        total: sum of the weights, above 0.
        effective_n: :math:`(\sum w_i)^2 / \sum w_i^2`, the number of units of equal weight that are worth as much.

    Source: arXiv 2208.02814, section 4.1; arXiv 1904.06019.
    """

    thresholds: tuple[float, ...]
    losses: tuple[float, ...]
    total: float
    effective_n: float

    def threshold(self, alpha: float, weight: float) -> float:
        """Boldest threshold that keeps the promise for a case.

        Args:
            alpha: highest expected loss, in (0, 1).
            weight: the weight of the case's unit, on the scale of the calibration units'.

        Returns:
            one of :py:attr:`thresholds`; the first when no other keeps the promise.
        """
        if self.total + weight <= 0:
            return self.thresholds[0]
        allowed = alpha * (self.total + weight) - weight
        # A little less, for the rounding of the sums.
        kept = bisect_right(self.losses, allowed - 1e-12 * (self.total + weight))
        return self.thresholds[max(0, kept - 1)]


def weigh(losses: UnitLosses, weights: Mapping[str, float], tau: float | None = None) -> WeightedLosses:
    """Add up the losses of one class with weights.

    Args:
        losses: losses of the units.
        weights: weight of each unit by its name, from 0 on.
        tau: counts units whose loss is above ``1 - tau`` instead of adding losses.

    Raises:
        ValueError: when a unit has no weight, a weight is negative or not finite, or all are 0.
    """
    missing = [unit for unit in losses.units if unit not in weights]
    if missing:
        raise ValueError(f"Expected a weight for every unit, but {missing[:5]} ({len(missing)} in all) have none.")
    w = np.array([check_weight(weights[unit], f"the weight of {unit!r}") for unit in losses.units])
    if losses.n and not w.any():
        raise ValueError(
            "The weights of all calibration units are 0: nothing was seen of the population they describe."
        )
    total, squares = float(w.sum()), float((w**2).sum())
    by_unit = losses.by_unit if tau is None else (losses.by_unit > 1 - tau + 1e-12).astype(np.float64)
    curve = np.maximum.accumulate(w @ by_unit)
    # Only the boldest threshold of each height is of use.
    last = np.append(np.flatnonzero(np.diff(curve)), len(curve) - 1)
    last = np.union1d([0], last)
    effective_n = total**2 / squares if squares else 0.0
    return WeightedLosses(tuple(losses.thresholds[last].tolist()), tuple(curve[last].tolist()), total, effective_n)
