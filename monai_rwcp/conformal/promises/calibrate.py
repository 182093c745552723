"""From a loss table and a promise to the calibration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

from monai_rwcp.conformal.counting.levels import EMPTY_SET
from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.options import CountingOptions, EmptyTruth, UnitLoss
from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.promises.class_calibration import ClassCalibration
from monai_rwcp.conformal.promises.promise import Bound, Method, Promise
from monai_rwcp.conformal.promises.thresholds import boldest_thresholds
from monai_rwcp.conformal.promises.weighted_losses import WeightedLosses, weigh
from monai_rwcp.conformal.promises.zero_scores import warn_of_zero_scores
from monai_rwcp.utils.arguments import check_class_names

__all__ = ["calibrate", "calibration_of", "check_promisable"]


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
    return calibration_of(
        table,
        Promise(alpha, method, delta, tau, bound),
        replace(table.counting, unit_loss=unit_loss, empty=empty),
        by_group=by_group,
        weights=weights,
        class_names=class_names,
    )


def calibration_of(
    table: LossTable,
    promise: Promise,
    counting: CountingOptions,
    *,
    by_group: bool,
    weights: Mapping[str, float] | None,
    class_names: Sequence[str] | None,
) -> Calibration:
    """Calibrate as :py:func:`calibrate` does.

    Args:
        promise: what is promised.
        counting: the table's, with how a unit's loss is made of its images.
        table, by_group, weights, class_names: see :py:func:`calibrate`.

    Raises:
        ValueError: as :py:func:`calibrate`.
    """
    _check_table(table, class_names)
    check_promisable(table.loss, promise, counting)
    names = {c: f"class {c}" if class_names is None else class_names[c] for c in table.classes}
    classes = boldest_thresholds(table, promise, counting)
    for c, entry in classes.items():
        if entry.n < promise.minimum_n:
            what = "inner set is empty" if table.loss.of_excess else "prediction set is the whole image"
            _warn_of_few(entry, names[c], promise, f"Its {what}, which keeps the promise but says nothing.")
    weighted = None
    if weights is not None:
        weighted = _weighted(table, promise, counting, by_group, weights)
        classes = {c: _safest(table, entry) for c, entry in classes.items()}
    _warn_of_zeros(table, promise, names, classes, weighted)
    groups: dict[str, dict[int, ClassCalibration]] = {}
    for group, units in _units_by_group(table).items() if by_group else ():
        of_group = table.only(units)
        entries = boldest_thresholds(of_group, promise, counting)
        groups[group] = {c: entry for c, entry in entries.items() if entry.n >= promise.minimum_n}
        for c in entries.keys() - groups[group].keys():
            kept = "The group keeps the threshold of all units for it, and no promise of its own."
            _warn_of_few(entries[c], f"{names[c]} in the group {group!r}", promise, kept)
        for c, entry in groups[group].items():
            if entry.threshold == 0 and not table.loss.of_excess:
                warn_of_zero_scores(of_group, c, f"{names[c]} in the group {group!r}", True, stacklevel=3)
    return Calibration(
        promised=promise,
        counting=counting,
        loss=table.loss,
        unit_name=table.unit_name,
        n_channels=table.n_channels,
        n_images=len(table.images),
        class_names=None if class_names is None else tuple(class_names),
        classes=classes,
        weighted=weighted,
        groups=groups if by_group else None,
        provenance=table.provenance,
    )


def check_promisable(loss: SetLoss, promise: Promise, counting: CountingOptions) -> None:
    """Refuse promises that cannot be made of a loss.

    Raises:
        ValueError: when the method, or how empty truth counts, does not go with the loss.

    Example:
        >>> from monai_rwcp.conformal import FalseNegativeRate
        >>> check_promisable(FalseNegativeRate(), Promise(0.1), CountingOptions())
    """
    if loss.monotone == (promise.method == "ltt"):
        raise ValueError(
            f'The loss {loss.name!r} falls as the set grows, so method="rcps" promises the same of it with larger '
            "steps: use that."
            if loss.monotone
            else f"The loss {loss.name!r} may rise and fall with the set, so {promise.method!r} can promise nothing of "
            'it: use method="ltt" with `delta`.'
        )
    if loss.of_excess and counting.empty == "zero":
        raise ValueError(
            f"A unit without the class has no loss of 0 under {loss.name!r}: whatever is claimed there is wrong. Use "
            'empty="exclude".'
        )


def _warn_of_few(entry: ClassCalibration, name: str, promise: Promise, what_then: str) -> None:
    warnings.warn(
        f"Only {entry.n} calibration units count for {name}: {promise.minimum_n - entry.n} more are needed for "
        f"{_numbers(promise)}. {what_then}",
        stacklevel=4,  # who called calibrate
    )


def _warn_of_zeros(
    table: LossTable,
    promise: Promise,
    names: Mapping[int, str],
    classes: Mapping[int, ClassCalibration],
    weighted: Mapping[int, WeightedLosses] | None,
) -> None:
    for c, entry in classes.items():
        if weighted is None:
            whole_image = entry.threshold == 0 and entry.n >= promise.minimum_n
        else:
            # The smaller the weight of a case, the bolder its threshold.
            whole_image = entry.n > 0 and weighted[c].threshold(promise.alpha, 0.0) == 0
        warn_of_zero_scores(table, c, names[c], whole_image and not table.loss.of_excess, stacklevel=4)


def _weighted(
    table: LossTable, promise: Promise, counting: CountingOptions, by_group: bool, weights: Mapping[str, float]
) -> dict[int, WeightedLosses]:
    if promise.method not in ("crc", "tolerance") or by_group:
        raise ValueError(
            'Weights go with method="crc" and method="tolerance" and no groups, but got '
            f'method="{promise.method}" and by_group={by_group}.'
        )
    return {c: weigh(UnitLosses(table, c, counting), weights, promise.tau) for c in table.classes}


def _safest(table: LossTable, entry: ClassCalibration) -> ClassCalibration:
    # Until the weight of a case is known nothing but the safest set keeps the promise.
    return replace(entry, threshold=EMPTY_SET if table.loss.of_excess else 0.0, empirical_risk=0.0)


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
    check_class_names(class_names)
