"""The boldest thresholds that keep a promise on the units of a table."""

from __future__ import annotations

import numpy as np

from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.conformal.promises.class_calibration import ClassCalibration
from monai_rwcp.conformal.promises.promise import Promise

__all__ = ["boldest_thresholds", "last_step_keeping_promise"]


def boldest_thresholds(table: LossTable, promise: Promise, counting: CountingOptions) -> dict[int, ClassCalibration]:
    """Choose the threshold of each class.

    Args:
        table: loss counts of the units.
        promise: what is promised.
        counting: says which units count, and how a unit's loss is made of its images.

    Returns:
        what was calibrated for each class.
    """
    found = {}
    for c in table.classes:
        losses = UnitLosses(table, c, counting)
        last = last_step_keeping_promise(losses, promise)
        found[c] = ClassCalibration(
            threshold=float(losses.thresholds[last]),
            n=losses.n,
            empirical_risk=float(losses.mean(promise.tau)[last]),
            working_level=float(promise.allowance(n) / n) if (n := losses.n) and promise.bound != "betting" else None,
        )
    return found


def last_step_keeping_promise(losses: UnitLosses, promise: Promise) -> int:
    """Number of the last step up to which every step keeps the promise; 0, the safest, where none is kept."""
    last = len(losses.thresholds) - 1
    if losses.n < promise.minimum_n:
        return 0
    if promise.bound == "betting":
        # The bound looks at the order of the units, so it need not rise with the loss.
        kept = promise.order_is_below(losses.by_unit)
        return last if kept.all() else max(0, int(np.argmin(kept)) - 1)
    allowed = promise.allowance(losses.n)
    if not losses.monotone:
        # Only steps whose rounded sum is close to what is allowed, or above, can be the first to fail.
        near = np.flatnonzero(losses.by_unit.sum(axis=0) > float(allowed) - 1e-6)
        first = next((step for step in near if not losses.sum_is_at_most(allowed, int(step))), last + 1)
        return max(0, int(first) - 1)
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        if losses.sum_is_at_most(allowed, middle, promise.tau):
            low = middle
        else:
            high = middle - 1
    return low
