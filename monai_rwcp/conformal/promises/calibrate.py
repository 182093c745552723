"""From a loss table and a promise to the threshold of each class."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from monai_rwcp.conformal.counting.levels import EMPTY_SET
from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.unit_losses import EmptyTruth, UnitLoss, UnitLosses
from monai_rwcp.conformal.promises.calibration import Calibration, ClassCalibration
from monai_rwcp.conformal.promises.promise import Bound, Method, Promise
from monai_rwcp.conformal.promises.weighted_losses import WeightedLosses, weigh
from monai_rwcp.utils.arguments import check_options

__all__ = ["calibrate", "check_loss"]


def calibrate(
    table: LossTable,
    alpha: float = 0.1,
    method: Method = "crc",
    *,
    delta: float | None = None,
    tau: float | None = None,
    bound: Bound | None = None,
    unit_loss: UnitLoss = "pooled",
    empty: EmptyTruth = "exclude",
    by_group: bool = False,
    weights: Mapping[str, float] | None = None,
    class_names: Sequence[str] | None = None,
) -> Calibration:
    r"""Choose, for each class, the smallest prediction sets that keep a promise about the loss of a new unit.

    .. math:: \hat\lambda = \inf\Big\{\lambda : \sum_{i=1}^n L_i(\lambda) \le \alpha (n + 1) - 1\Big\}
        \quad \text{(crc)}, \qquad
        \inf\{\lambda : \mathrm{UCB}_\delta(\lambda') < \alpha \;\; \forall \lambda' \ge \lambda\}
        \quad \text{(rcps)}

    over the fixed threshold grid, for units that are exchangeable (independent, for rcps and ltt). Tolerance is crc of
    the loss :math:`[L_i(\lambda) > 1 - \tau]`. For losses of excess (inner sets) it is the largest sets that keep the
    promise. The comparison is exact: ``alpha`` is read as the decimal number it prints as, and losses are fractions of
    whole numbers. With fewer than ``minimum_n(alpha, ...)`` units nothing but the whole image (for inner sets: the
    empty set, threshold 2) satisfies the promise: it is taken then, with a warning.

    Args:
        table: loss counts of the calibration units.
        alpha, method, delta, tau, bound: what is promised, see :py:class:`monai_rwcp.conformal.Promise`.
        unit_loss: ``"pooled"``: missed over true voxels in all images of a unit; ``"mean"``: the mean over those of
            its images that show the class.
        empty: ``"exclude"``: units without the class do not count for it; ``"zero"``: they count with loss 0, which
            dilutes the promise (not for losses of excess, where it would be false).
        by_group: whether each group of units gets thresholds and a promise of its own. A class of which a group has
            too few units keeps the threshold of all units, with a warning and without a promise of its own.
        weights: weight of each unit by its name, for a population that has shifted (weighted conformal risk control,
            ``"crc"`` and ``"tolerance"``): how much more often such units are met there than here. Every new case then
            gets a threshold by the weight of its unit. The promise is as good as the weights.
        class_names: a name for each channel of the score, for the promise in words.

    Returns:
        the calibration.

    Raises:
        ValueError: when a number is not in (0, 1) or belongs to another method, an option is unknown, names do not
            fit or the table is empty.

    Source: arXiv 2208.02814, theorem 1 (with B = 1); arXiv 2101.02703, theorem 1; arXiv 2110.01052 (fixed sequence
    testing); by group: Vovk, Mondrian conformal prediction.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import LossTable, false_negative_rate_table
        >>> label = torch.ones(1, 2, 2)
        >>> score = torch.stack([torch.full((2, 2), 0.25), torch.full((2, 2), 0.75)])
        >>> tables = [false_negative_rate_table(score, label, unit=f"patient {i}") for i in range(9)]
        >>> round(calibrate(LossTable.join(tables), alpha=0.1).threshold[1], 2)
        0.75
    """
    promise = Promise(alpha, method, delta, tau, bound)
    check_options(unit_loss=unit_loss, empty=empty)
    _check_table(table, class_names)
    check_loss(table.loss, promise, empty)
    names = {c: f"class {c}" if class_names is None else class_names[c] for c in table.classes}
    classes = _classes(table, promise, unit_loss, empty)
    for c, entry in classes.items():
        if entry.n < promise.minimum_n:
            what = (
                "inner set is empty" if table.loss.of_excess else "prediction set is the whole image (lambda_hat = 1)"
            )
            warnings.warn(
                f"Only {entry.n} calibration units count for {names[c]}: {promise.minimum_n - entry.n} more are needed "
                f"for {_numbers(promise)}. Its {what}, which keeps the promise but says nothing.",
                stacklevel=2,
            )
    groups: dict[str, dict[int, ClassCalibration]] = {}
    for group, units in _units_by_group(table).items() if by_group else ():
        entries = _classes(table.only(units), promise, unit_loss, empty)
        groups[group] = {c: entry for c, entry in entries.items() if entry.n >= promise.minimum_n}
        for c in entries.keys() - groups[group].keys():
            warnings.warn(
                f"Only {entries[c].n} calibration units count for {names[c]} in the group {group!r}: "
                f"{promise.minimum_n - entries[c].n} more are needed for {_numbers(promise)}. The group keeps the "
                "threshold of all units for it, and no promise of its own.",
                stacklevel=2,
            )
    weighted = None if weights is None else _weighted(table, promise, unit_loss, empty, by_group, weights)
    return Calibration(
        promised=promise,
        loss=table.loss,
        unit_loss=unit_loss,
        empty=empty,
        outside=table.outside,
        label_mode=table.label_mode,
        unit_name=table.unit_name,
        n_channels=table.n_channels,
        n_images=len(table.images),
        masked=table.masked,
        class_names=None if class_names is None else tuple(class_names),
        classes=classes if weights is None else {c: _safest(table, entry) for c, entry in classes.items()},
        weighted=weighted,
        groups=groups if by_group else None,
        provenance=table.provenance,
    )


def check_loss(loss: SetLoss, promise: Promise, empty: EmptyTruth) -> None:
    """Refuse promises that cannot be made of a loss.

    Raises:
        ValueError: when the method or ``empty`` does not go with the loss.

    Example:
        >>> from monai_rwcp.conformal import FalseNegativeRate
        >>> check_loss(FalseNegativeRate(), Promise(0.1), "exclude")
    """
    if loss.monotone == (promise.method == "ltt"):
        raise ValueError(
            f'The loss {loss.name!r} falls as the set grows, so method="rcps" promises the same of it with larger '
            "steps: use that."
            if loss.monotone
            else f"The loss {loss.name!r} may rise and fall with the set, so {promise.method!r} can promise nothing of "
            'it: use method="ltt" with `delta`.'
        )
    if loss.of_excess and empty == "zero":
        raise ValueError(
            f"A unit without the class has no loss of 0 under {loss.name!r}: whatever is claimed there is wrong. Use "
            'empty="exclude".'
        )


def _classes(table: LossTable, promise: Promise, unit_loss: UnitLoss, empty: EmptyTruth) -> dict[int, ClassCalibration]:
    losses = {c: UnitLosses(table, c, unit_loss, empty) for c in table.classes}
    last = {c: last_step_keeping_promise(of_class, promise) for c, of_class in losses.items()}
    return {
        c: ClassCalibration(
            threshold=float(of_class.thresholds[last[c]]),
            n=of_class.n,
            empirical_risk=float(of_class.mean(promise.tau)[last[c]]),
            working_level=float(promise.allowance(n) / n) if (n := of_class.n) and promise.bound != "betting" else None,
        )
        for c, of_class in losses.items()
    }


def _weighted(
    table: LossTable,
    promise: Promise,
    unit_loss: UnitLoss,
    empty: EmptyTruth,
    by_group: bool,
    weights: Mapping[str, float],
) -> dict[int, WeightedLosses]:
    if promise.method not in ("crc", "tolerance") or by_group:
        raise ValueError(
            'Weights go with method="crc" and method="tolerance" and no groups, but got '
            f'method="{promise.method}" and by_group={by_group}.'
        )
    return {c: weigh(UnitLosses(table, c, unit_loss, empty), weights, promise.tau) for c in table.classes}


def _safest(table: LossTable, entry: ClassCalibration) -> ClassCalibration:
    # Until the weight of a case is known nothing but the safest set keeps the promise.
    return replace(entry, threshold=EMPTY_SET if table.loss.of_excess else 0.0, empirical_risk=0.0)


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


def _units_by_group(table: LossTable) -> dict[str, list[str]]:
    units: dict[str, list[str]] = {}
    for unit, group in sorted(table.groups.items()):
        if group is None:
            raise ValueError(
                f"Expected a group for every {table.unit_name}, but {unit!r} has none. Count with `group` (`group_key` "
                "of the handler), or calibrate without by_group."
            )
        units.setdefault(group, []).append(unit)
    return dict(sorted(units.items()))


def _numbers(promise: Promise) -> str:
    given = {"alpha": promise.alpha, "delta": promise.delta, "tau": promise.tau}
    return ", ".join(f"{name} = {value}" for name, value in given.items() if value is not None)


def _check_table(table: LossTable, class_names: Sequence[str] | None) -> None:
    if not table.images:
        raise ValueError("The loss table holds no image, so there is nothing to calibrate on.")
    if class_names is not None and len(class_names) != table.n_channels:
        raise ValueError(
            f"Expected a class name for each of the {table.n_channels} channels of the score, but got "
            f"{len(class_names)}."
        )
