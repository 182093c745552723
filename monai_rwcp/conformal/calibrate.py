"""Conformal risk control: from a loss table to the threshold of each class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import numpy as np

from monai_rwcp.conformal.calibration import Calibration, ClassCalibration
from monai_rwcp.conformal.levels import threshold_levels
from monai_rwcp.conformal.loss_table import LossTable
from monai_rwcp.conformal.storage import check_options

__all__ = ["EmptyTruth", "Scope", "UnitLoss", "calibrate", "minimum_n"]

Scope = Literal["per_class", "maximum"]
UnitLoss = Literal["pooled", "mean"]
EmptyTruth = Literal["exclude", "zero"]

# Losses are first added as integers in units of 2^-64, each rounded up, which decides all but near ties; those are
# decided in fractions, so that the result is exact and the same whatever the order of the cases.
_UNIT = 2**64


def minimum_n(alpha: float) -> int:
    r"""Smallest number of units for which any threshold above 0 can satisfy the promise.

    .. math:: n \ge 1 / \alpha - 1

    Args:
        alpha: risk level in (0, 1), read as the decimal number it prints as.

    Returns:
        the number of units.

    Raises:
        ValueError: when ``alpha`` is not in (0, 1).

    Example:
        >>> minimum_n(0.1), minimum_n(0.05), minimum_n(0.2)
        (9, 19, 4)
    """
    return max(1, int(-((-1 / _exact(alpha)) // 1)) - 1)


def calibrate(
    table: LossTable,
    alpha: float = 0.1,
    method: Literal["crc"] = "crc",
    *,
    scope: Scope = "per_class",
    unit_loss: UnitLoss = "pooled",
    empty: EmptyTruth = "exclude",
    class_names: Sequence[str] | None = None,
) -> Calibration:
    r"""Choose, for each class, the smallest prediction sets whose expected loss on a new unit is at most ``alpha``.

    .. math:: \hat\lambda = \inf\Big\{\lambda : \sum_{i=1}^n L_i(\lambda) \le \alpha (n + 1) - 1\Big\}

    over the fixed threshold grid, so that :math:`E[L_{n+1}(\hat\lambda)] \le \alpha` for units that are exchangeable.
    The comparison is exact: ``alpha`` is read as the decimal number it prints as, and losses are fractions of whole
    numbers. With fewer than ``minimum_n(alpha)`` units nothing but the whole image satisfies the promise:
    ``lambda_hat`` is then 1, with a warning.

    Args:
        table: loss counts of the calibration units.
        alpha: highest expected loss, in (0, 1).
        method: ``"crc"``, conformal risk control.
        scope: ``"per_class"`` gives each class its own ``lambda_hat``; ``"maximum"`` gives all of them the largest,
            which keeps the promise for each class with one threshold.
        unit_loss: ``"pooled"``: missed over true voxels in all images of a unit; ``"mean"``: the mean over those of
            its images that show the class.
        empty: ``"exclude"``: units without the class do not count for it; ``"zero"``: they count with loss 0, which
            dilutes the promise.
        class_names: a name for each channel of the score, for the promise in words.

    Returns:
        the calibration.

    Raises:
        ValueError: when ``alpha`` is not in (0, 1), an option is unknown, names do not fit or the table is empty.

    Source: arXiv 2208.02814, theorem 1 (with B = 1).

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import LossTable, false_negative_rate_table
        >>> label = torch.ones(1, 2, 2)
        >>> score = torch.stack([torch.full((2, 2), 0.25), torch.full((2, 2), 0.75)])
        >>> tables = [false_negative_rate_table(score, label, unit=f"patient {i}") for i in range(9)]
        >>> round(calibrate(LossTable.join(tables), alpha=0.1).threshold[1], 2)
        0.75
    """
    level = _exact(alpha)
    check_options(method=method, scope=scope, unit_loss=unit_loss, empty=empty)
    _check_table(table, class_names)
    chosen: dict[int, int] = {}
    figures: dict[int, tuple[int, np.ndarray]] = {}
    for c in table.classes:
        losses = _UnitLosses(table, c, unit_loss, empty)
        chosen[c] = _highest_feasible_level(losses, level)
        figures[c] = (losses.n, losses.mean)
    if scope == "maximum":
        chosen = dict.fromkeys(chosen, min(chosen.values()))
    thresholds = threshold_levels()
    classes = {}
    for c, (n, risk) in figures.items():
        missing = minimum_n(alpha) - n
        if missing > 0:
            name = f"class {c}" if class_names is None else class_names[c]
            warnings.warn(
                f"Only {n} calibration units count for {name}: {missing} more are needed for alpha = {alpha}. Its "
                "prediction set is the whole image (lambda_hat = 1), which keeps the promise but says nothing.",
                stacklevel=2,
            )
        classes[c] = ClassCalibration(
            threshold=float(thresholds[chosen[c]]),
            n=n,
            empirical_risk=float(risk[chosen[c]]),
            working_level=float((level * (n + 1) - 1) / n) if n else None,
        )
    return Calibration(
        alpha=float(alpha),
        method=method,
        scope=scope,
        unit_loss=unit_loss,
        empty=empty,
        outside=table.outside,
        label_mode=table.label_mode,
        unit_name=table.unit_name,
        n_channels=table.n_channels,
        n_images=len(table.images),
        class_names=None if class_names is None else tuple(class_names),
        classes=classes,
        provenance=table.provenance,
    )


class _UnitLosses:
    """The losses of all units that count for one class, at every level."""

    def __init__(self, table: LossTable, class_index: int, unit_loss: UnitLoss, empty: EmptyTruth) -> None:
        by_image = unit_loss == "mean"
        self._missed = table.missed(class_index, by_image=by_image)
        self._true = table.true(class_index, by_image=by_image)
        owners = table.image_units() if by_image else table.units
        # Rows of each unit that show the class: one for pooled losses, any number for mean ones.
        rows: dict[str, list[int]] = {unit: [] for unit in table.units}
        for row, unit in enumerate(owners):
            if self._true[row] > 0:
                rows[unit].append(row)
        self._rows = [r for r in rows.values() if r or empty == "zero"]

    @property
    def n(self) -> int:
        return len(self._rows)

    @property
    def mean(self) -> np.ndarray:
        share = self._missed / np.maximum(self._true, 1)[:, None]
        curves = [share[rows].mean(axis=0) for rows in self._rows if rows]
        return np.sum(curves, axis=0) / max(self.n, 1) if curves else np.zeros(share.shape[1])

    def sum_is_at_most(self, bound: Fraction, level: int) -> bool:
        units = [[(int(self._missed[r, level]), int(self._true[r])) for r in rows] for rows in self._rows if rows]
        rounded_up = sum(-(-sum(-(-m * _UNIT // t) for m, t in rows) // len(rows)) for rows in units)
        if rounded_up <= bound * _UNIT:
            return True
        if rounded_up - 2 * len(units) > bound * _UNIT:
            return False
        return sum((sum(Fraction(m, t) for m, t in rows) / len(rows) for rows in units), Fraction(0)) <= bound


def _highest_feasible_level(losses: _UnitLosses, alpha: Fraction) -> int:
    # The loss does not fall as the level rises, so the feasible levels are those up to some last one.
    bound = alpha * (losses.n + 1) - 1
    low, high = 0, len(threshold_levels()) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if losses.sum_is_at_most(bound, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _exact(alpha: float) -> Fraction:
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0.0 < alpha < 1.0:
        raise ValueError(f"Expected `alpha` to be a number in (0, 1), such as 0.1, but got {alpha!r}.")
    return Fraction(repr(float(alpha)))


def _check_table(table: LossTable, class_names: Sequence[str] | None) -> None:
    if not table.images:
        raise ValueError("The loss table holds no image, so there is nothing to calibrate on.")
    if class_names is not None and len(class_names) != table.n_channels:
        raise ValueError(
            f"Expected a class name for each of the {table.n_channels} channels of the score, but got "
            f"{len(class_names)}."
        )
