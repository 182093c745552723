"""The losses of the units of a table along the thresholds, in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from monai_rwcp.conformal.counting.levels import EMPTY_SET, threshold_levels
from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.utils.arguments import exact

__all__ = ["UnitLosses"]

# Losses are first added as integers in units of 2^-64, each rounded up, which decides all but near ties; those are
# decided in fractions, so that the result is exact and the same whatever the order of the cases.
_UNIT = 2**64


class UnitLosses:
    """The losses of all units that count for one class, in steps from the safest threshold to the boldest.

    For losses of what the set misses the steps run from the whole image down to threshold 1; for losses of excess from
    the empty set up to the whole image.

    Args:
        table: loss counts.
        class_index: one of the table's classes.
        counting: says which units count, and how a unit's loss is made of its images.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import false_negative_rate_table
        >>> table = false_negative_rate_table(torch.rand(2, 4, 4), torch.ones(1, 4, 4), unit="anna")
        >>> losses = UnitLosses(table, 1, CountingOptions())
        >>> losses.n, float(losses.by_unit[0, 0]), float(losses.thresholds[0])
        (1, 0.0, 0.0)
    """

    def __init__(self, table: LossTable, class_index: int, counting: CountingOptions) -> None:
        by_image = counting.unit_loss == "mean"
        true = table.true(class_index, by_image=by_image)
        missed = table.missed(class_index, by_image=by_image)
        levels = threshold_levels().astype(np.float64)
        if table.loss.of_excess:
            wrong = _from_empty(table.claimed_wrongly(class_index, by_image=by_image))
            whole = true[:, None] if table.loss.monotone else wrong + _from_empty(true[:, None] - missed)
            self.thresholds = np.concatenate([[EMPTY_SET], levels[::-1]])
            self._part, self._whole = np.minimum(wrong, whole), whole
        else:
            self.thresholds = levels
            self._part, self._whole = missed, true[:, None]
        # Nothing of nothing is no loss.
        self._whole = np.maximum(np.broadcast_to(self._whole, self._part.shape), 1)
        self.monotone = table.loss.monotone
        owners = table.image_units() if by_image else table.units
        # Rows of each unit that show the class: one for pooled losses, any number for mean ones.
        rows: dict[str, list[int]] = {unit: [] for unit in table.units}
        for row, unit in enumerate(owners):
            if true[row] > 0:
                rows[unit].append(row)
        kept = {unit: r for unit, r in rows.items() if r or counting.empty == "zero"}
        self.units = tuple(kept)
        self._rows = list(kept.values())

    @property
    def n(self) -> int:
        """Number of units that count."""
        return len(self._rows)

    @property
    def by_unit(self) -> np.ndarray:
        """Losses rounded to float64, ``[n, steps]`` in [0, 1], in the order of the units' names."""
        share = self._part / self._whole
        if all(len(rows) == 1 for rows in self._rows):
            return share[[row for (row,) in self._rows]].reshape(self.n, share.shape[1])
        curves = [share[rows].mean(axis=0) if rows else np.zeros(share.shape[1]) for rows in self._rows]
        return np.array(curves).reshape(self.n, share.shape[1])

    def mean(self, tau: float | None = None) -> np.ndarray:
        """Mean loss at every step, ``[steps]``; with ``tau`` the share of units whose loss is above ``1 - tau``."""
        losses = self.by_unit
        if tau is not None:
            losses = losses > float(1 - exact(tau)) + 1e-12
        return losses.sum(axis=0) / max(self.n, 1)

    def sum_is_at_most(self, bound: Fraction, step: int, tau: float | None = None) -> bool:
        """Whether the losses at a step add up to at most ``bound``, exactly.

        Args:
            bound: any fraction.
            step: number of the step.
            tau: counts the units whose loss is above ``1 - tau`` instead of adding the losses.
        """
        units = [[(int(self._part[r, step]), int(self._whole[r, step])) for r in rows] for rows in self._rows if rows]
        if tau is not None:
            most = 1 - exact(tau)
            return sum(_is_above(rows, most) for rows in units) <= bound
        rounded_up = sum(-(-sum(-(-m * _UNIT // t) for m, t in rows) // len(rows)) for rows in units)
        if rounded_up <= bound * _UNIT:
            return True
        if rounded_up - 2 * len(units) > bound * _UNIT:
            return False
        return sum((_mean(rows) for rows in units), Fraction(0)) <= bound


def _from_empty(counts: np.ndarray) -> np.ndarray:
    """Counts from the empty set (none) to the whole image."""
    return np.concatenate([np.zeros((len(counts), 1), dtype=counts.dtype), counts[:, ::-1]], axis=1)


def _is_above(rows: list[tuple[int, int]], most: Fraction) -> bool:
    if len(rows) > 1:
        return _mean(rows) > most
    missed, true = rows[0]
    return missed * most.denominator > most.numerator * true


def _mean(rows: list[tuple[int, int]]) -> Fraction:
    return sum((Fraction(missed, true) for missed, true in rows), Fraction(0)) / len(rows)
