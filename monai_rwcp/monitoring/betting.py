"""A gambler's capital over several bets at once: the machine inside both monitors."""

from __future__ import annotations

import math

import numpy as np

__all__ = ["SharedBets", "check_rate"]

# Beyond this, capital is evidence without end; the cap keeps it a number that JSON can hold.
_HIGHEST_LOG = 690.0


class SharedBets:
    r"""Capital that is spread over several bets, with a small part dealt out anew before every round.

    .. math:: w_j \leftarrow (1 - J)\, w_j + \frac{J}{E} \sum_l w_l, \qquad w_j \leftarrow w_j f_j

    with the returns :math:`f_j \ge 0` of the :math:`E` bets. When each bet is fair, so that its expected return given
    the past is at most 1, the capital :math:`\sum_j w_j` starts at 1 and is a test supermartingale: by Ville's
    inequality it ever reaches :math:`1 / r` with probability at most :math:`r`. Dealing out anew lets a bet that did
    badly for years pay within a few rounds once the world has changed.

    Args:
        n_bets: number of bets :math:`E`.
        share: part :math:`J` of the capital that is dealt out anew, in [0, 1].

    Source: Herbster and Warmuth 1998 (fixed share); Vovk, Petej, Nouretdinov et al. 2021, "Retrain or not retrain:
    conformal test martingales for change-point detection" (the Simple Jumper is the case of three linear bets).

    Example:
        >>> bets = SharedBets(2, share=0.0)
        >>> bets.play(np.array([1.0, 2.0]))
        >>> bets.play(np.array([1.0, 2.0]))
        >>> round(bets.capital, 6)
        2.5
    """

    def __init__(self, n_bets: int, share: float = 0.01) -> None:
        self._weights = np.full(n_bets, 1 / n_bets)
        self._share = share
        self._log_capital = 0.0

    @property
    def capital(self) -> float:
        """Present capital, at least 0; values above 1e299 are given as that."""
        return math.exp(min(self._log_capital, _HIGHEST_LOG))

    @property
    def weights(self) -> np.ndarray:
        """Part of the capital that lies on each bet, float64 ``[n_bets]``, of sum 1."""
        return self._weights.copy()

    def play(self, returns: np.ndarray) -> None:
        """Play one round.

        Args:
            returns: what each bet pays for a stake of 1, float ``[n_bets]``, at least 0, and not all 0.
        """
        dealt = (1 - self._share) * self._weights + self._share / len(self._weights)
        won = dealt * returns
        # The logarithm keeps the capital of long streams, which overflows after some hundred rounds.
        total = float(won.sum())
        self._log_capital += math.log(total)
        self._weights = won / total


def check_rate(rate: float, name: str = "false_alarm_rate") -> None:
    """Refuse a rate of false alarms that is none.

    Raises:
        ValueError: when it is not a number in (0, 1).

    Example:
        >>> check_rate(0.01)
    """
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0.0 < rate < 1.0:
        raise ValueError(f"Expected `{name}` to be a number in (0, 1), such as 0.01, but got {rate!r}.")
