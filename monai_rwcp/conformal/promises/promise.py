"""The kinds of promise a calibration can make: what each needs, allows and says."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Literal

import numpy as np

from monai_rwcp.conformal.promises.bounds import betting_is_below, hoeffding_bentkus_allowance
from monai_rwcp.utils.arguments import check_share, exact

__all__ = ["Bound", "Method", "Promise", "minimum_n"]

Method = Literal["crc", "rcps", "tolerance", "ltt"]
Bound = Literal["hoeffding_bentkus", "betting"]


@dataclass(frozen=True)
class Promise:
    """What is promised of the loss of a new unit.

    Args:
        alpha: highest expected loss (``"crc"``, ``"rcps"``), or highest share of units that are not covered enough
            (``"tolerance"``), in (0, 1); read as the decimal number it prints as.
        method: ``"crc"``: the expected loss is at most ``alpha``, on average over the calibration draw, too;
            ``"rcps"``: with a probability of at least ``1 - delta`` over the calibration draw, the expected loss is
            at most ``alpha``; ``"tolerance"``: with a probability of at least ``1 - alpha`` a new unit's loss is at
            most ``1 - tau``; ``"ltt"`` (Learn then Test): what rcps promises, for losses that may rise and fall with
            the set (the false discovery proportion), by testing one threshold after the other from the safest on.
        delta: for ``"rcps"`` and ``"ltt"``, in (0, 1).
        tau: for ``"tolerance"``, the share in (0, 1) of a unit's truth that has to be covered.
        bound: for ``"rcps"``, ``"hoeffding_bentkus"`` (the default) or ``"betting"`` (Waudby-Smith and Ramdas).

    Raises:
        ValueError: when a number is outside (0, 1), is missing, or belongs to another method.

    Source: arXiv 2208.02814 (crc), 2101.02703 (rcps), 2110.01052 (ltt); tolerance is crc of ``[loss > 1 - tau]``.

    Example:
        >>> Promise(0.1, "rcps", delta=0.05).minimum_n
        29
    """

    alpha: float
    method: Method = "crc"
    delta: float | None = None
    tau: float | None = None
    bound: Bound | None = None

    def __post_init__(self) -> None:
        check_share("alpha", self.alpha)
        object.__setattr__(self, "alpha", float(self.alpha))
        if self.method not in ("crc", "rcps", "tolerance", "ltt"):
            raise ValueError(f'Expected `method` to be "crc", "rcps", "tolerance" or "ltt", but got {self.method!r}.')
        for name, methods in (("delta", ("rcps", "ltt")), ("tau", ("tolerance",))):
            value = getattr(self, name)
            if self.method in methods:
                check_share(name, value, f' for method="{self.method}"')
            elif value is not None:
                belongs = " or ".join(f'method="{method}"' for method in methods)
                raise ValueError(f'`{name}` belongs to {belongs}, but the method is "{self.method}".')
        if self.method != "rcps" and self.bound is not None:
            raise ValueError(f'`bound` belongs to method="rcps", but the method is "{self.method}".')
        if self.bound not in (None, "hoeffding_bentkus", "betting"):
            raise ValueError(f'Expected `bound` to be "hoeffding_bentkus" or "betting", but got {self.bound!r}.')
        if self.method == "rcps" and self.bound is None:
            object.__setattr__(self, "bound", "hoeffding_bentkus")

    @cached_property
    def minimum_n(self) -> int:
        """Smallest number of units with which losses of 0 satisfy the promise."""
        if self.bound == "betting":
            n = 1
            while not self.order_is_below(np.zeros((n, 1)))[0]:
                n += 1
            return n
        if self.delta is not None:
            n, level = 1, 1 - exact(self.alpha)
            while level**n > Fraction(self.delta):
                n += 1
            return n
        return max(1, int(-((-1 / exact(self.alpha)) // 1)) - 1)

    def allowance(self, n: int) -> Fraction:
        """Largest sum of the losses of ``n`` units (of units not covered enough) that keeps it; negative: none does.

        Not for ``bound="betting"``, which looks at more than the sum.
        """
        if self.delta is not None:
            return hoeffding_bentkus_allowance(n, exact(self.alpha), self.delta)
        return exact(self.alpha) * (n + 1) - 1

    def order_is_below(self, losses: np.ndarray) -> np.ndarray:
        """For ``bound="betting"``: whether losses ``[n, ...]``, in the order of the units' names, keep it."""
        # The bound depends on the order of the units, which must not be chosen by their losses: it never changes.
        order = np.random.default_rng(0).permutation(len(losses))
        return betting_is_below(losses[order], self.alpha, self.delta or 0.0)

    def sentence(self, subject: str, unit: str, whom: str, whose: str) -> str:
        """What is promised, without the full stop.

        Args:
            subject: what a share is bounded of, as :py:meth:`SetLoss.subject` gives it.
            unit: name of a unit, such as "patient".
            whom: which new unit, such as "in a new patient who shows it".
            whose: which new units, such as "new patients who show it".
        """
        if self.tau is not None:
            most = f"at most {_percent(1 - exact(self.tau))} of {subject}"
            return f"In at least {_percent(1 - exact(self.alpha))} of {whose}, {most}"
        average = f"n average at most {_percent(exact(self.alpha))} of {subject} {whom}"
        if self.delta is None:
            return "O" + average
        certainty = _percent(1 - exact(self.delta))
        return f"With a probability of at least {certainty} over the choice of calibration {unit}s, o{average}"

    def scope_of(self, unit: str) -> str:
        """What the numbers of :py:meth:`sentence` are taken over."""
        same = "all from the same population, with scores made the same way; it is not a promise about any single case"
        if self.delta is not None:
            return f"The average is over new {unit}s and the probability over the calibration {unit}s, {same}."
        what = "share" if self.method == "tolerance" else "average"
        return f"The {what} is over new {unit}s and over the choice of calibration {unit}s, {same}."


def minimum_n(
    alpha: float,
    method: Method = "crc",
    *,
    delta: float | None = None,
    tau: float | None = None,
    bound: Bound | None = None,
) -> int:
    r"""Smallest number of units for which any threshold above 0 can satisfy the promise.

    .. math:: n \ge 1 / \alpha - 1 \text{ (crc, tolerance)}, \qquad
        n \ge \log \delta / \log(1 - \alpha) \text{ (rcps with Hoeffding-Bentkus, ltt)}

    Args:
        alpha, method, delta, tau, bound: see :py:class:`Promise`.

    Returns:
        the number of units; the betting bound's is found by trying.

    Raises:
        ValueError: as :py:class:`Promise`.

    Example:
        >>> minimum_n(0.1), minimum_n(0.05), minimum_n(0.1, "rcps", delta=0.05)
        (9, 19, 29)
    """
    if method == "tolerance" and tau is None:
        tau = 0.5  # which does not matter here
    return Promise(alpha, method, delta, tau, bound).minimum_n


def _percent(share: Fraction) -> str:
    # All its digits: rounded up, "at least" would promise too much.
    return f"{Decimal((100 * share).numerator) / Decimal((100 * share).denominator):f} %"
