"""Testing, one case after the other, whether a stream of numbers still comes from where the calibration's came from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from itertools import count

import numpy as np

from monai_rwcp.monitoring.betting import SharedBets

__all__ = ["ExchangeabilityMartingale", "fewest_cases_to_alarm", "online_p_value", "tie_breakers"]


def online_p_value(earlier: Sequence[float], value: float, tie: float) -> float:
    r"""Rank a number among all that came before it.

    .. math:: p_n = \frac{\#\{i < n : z_i > z_n\} + u_n\,(1 + \#\{i < n : z_i = z_n\})}{n}

    When :math:`z_1, \ldots, z_n` are exchangeable and :math:`u_n` is uniform on (0, 1), the p-values of one case after
    the other are uniform and independent. This needs *all* earlier numbers, calibration and stream: ranked among the
    calibration cases alone, each p-value is still uniform, but they depend on one another through the same few
    calibration cases, and a capital bet on them promises nothing.

    Args:
        earlier: the :math:`n - 1` numbers before, in ascending order.
        value: the new number :math:`z_n`, finite.
        tie: :math:`u_n` in (0, 1).

    Returns:
        the p-value in (0, 1); near 0 when the number is unusually high, near 1 when it is unusually low.

    Source: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2nd edition 2022), smoothed conformal
    predictors and the independence of their p-values.

    Example:
        >>> online_p_value([1.0, 2.0, 2.0], 2.0, tie=0.5)
        0.375
    """
    equal = bisect_right(earlier, value) - bisect_left(earlier, value)
    higher = len(earlier) - bisect_right(earlier, value)
    return (higher + tie * (1 + equal)) / (len(earlier) + 1)


def tie_breakers(seed: int, position: int, n: int) -> list[float]:
    """Uniform random numbers in (0, 1) that break ties, the same for every monitor that is at the same case.

    Args:
        seed: of the monitor.
        position: number of cases before this one.
        n: how many are needed.

    Example:
        >>> tie_breakers(0, 3, 2) == tie_breakers(0, 3, 2)
        True
    """
    random = np.random.default_rng([seed, position])
    # Halves of whole numbers: never 0 or 1.
    return ((random.integers(2**32, size=n) + 0.5) / 2**32).tolist()


class ExchangeabilityMartingale:
    r"""Bet against the exchangeability of a stream with its calibration: capital that grows is evidence of a change.

    Bets on the p-values :math:`p` of :py:func:`online_p_value`, each of which pays 1 on average when they are uniform:

    .. math:: 1, \quad 3 (1 - p)^2, \quad 3 p^2, \quad \tfrac{1}{2} p^{-1/2}, \quad \tfrac{1}{2} (1 - p)^{-1/2}

    "nothing has changed", "values are higher", "values are lower", and the last two again for changes that show in
    some cases only. :math:`P(\sup_n M_n \ge 1/r) \le r` when calibration and stream are exchangeable.

    Args:
        calibration: the numbers of the calibration cases, in any order, finite.

    Raises:
        ValueError: when there is no calibration number.

    Source: Vovk et al. 2021, "Retrain or not retrain"; Ville's inequality.

    Example:
        >>> martingale = ExchangeabilityMartingale([1.0, 2.0, 3.0])
        >>> martingale.observe(9.0, tie=0.5)
        0.125
        >>> martingale.capital > 1, martingale.direction
        (True, 'higher')
    """

    def __init__(self, calibration: Sequence[float]) -> None:
        if not len(calibration):
            raise ValueError("Expected at least one calibration number to compare with, but got none.")
        self._earlier = sorted(float(value) for value in calibration)
        self._bets = SharedBets(5)

    @property
    def capital(self) -> float:
        """Present value :math:`M_n` of the martingale, 1 before the first case."""
        return self._bets.capital

    @property
    def direction(self) -> str:
        """``"higher"`` or ``"lower"``: the change on which more of the capital is placed."""
        weights = self._bets.weights
        return "higher" if weights[1] + weights[3] >= weights[2] + weights[4] else "lower"

    def observe(self, value: float, tie: float) -> float:
        """Take the next number of the stream.

        Args:
            value: the number, finite.
            tie: uniform random number in (0, 1), drawn independently of all numbers.

        Returns:
            its p-value.
        """
        p = online_p_value(self._earlier, value, tie)
        insort(self._earlier, value)
        self._bets.play(np.array([1.0, 3 * (1 - p) ** 2, 3 * p**2, 0.5 * p**-0.5, 0.5 * (1 - p) ** -0.5]))
        return p


def fewest_cases_to_alarm(n_calibration: int, capital: float) -> int:
    """Number of cases before which no stream can be expected to reach a capital, however much has changed.

    Args:
        n_calibration: number of calibration cases, at least 1.
        capital: the capital that raises the alarm, above 1.

    Returns:
        the number of cases when each of them is higher than all before it.

    Example:
        >>> fewest_cases_to_alarm(36, 700)
        6
    """
    martingale = ExchangeabilityMartingale([0.0] * n_calibration)
    for n in count(1):
        martingale.observe(float(n), 0.5)
        if martingale.capital >= capital:
            break
    return n
