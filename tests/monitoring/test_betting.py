"""Shared bets: the capital against the sum over all ways to change bets, and long streams."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from monai_rwcp.monitoring.betting import SharedBets, check_rate


def capital_over_paths(returns: np.ndarray, share: float) -> float:
    """Mean wealth over all sequences of bets: stay with probability 1 - share, else draw any bet anew."""
    n, bets = returns.shape
    total = 0.0
    for path in itertools.product(range(bets), repeat=n):
        probability = 1 / bets
        for one, other in itertools.pairwise(path):
            probability *= share / bets + (1 - share) * (one == other)
        total += probability * float(np.prod([returns[t, j] for t, j in enumerate(path)]))
    return total


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_capital_is_the_mean_over_all_ways_to_change_bets(share: float) -> None:
    returns = np.random.default_rng(3).uniform(0.1, 3, (6, 3))
    bets = SharedBets(3, share)
    for row in returns:
        bets.play(row)
    assert bets.capital == pytest.approx(capital_over_paths(returns, share))
    assert bets.weights.sum() == pytest.approx(1)


def test_capital_stays_a_number() -> None:
    bets = SharedBets(2)
    for _ in range(3000):
        bets.play(np.array([1.0, 3.0]))
    assert 1e298 < bets.capital < np.inf
    for _ in range(50000):
        bets.play(np.array([0.9, 0.1]))
    assert bets.capital < 1


@pytest.mark.parametrize("rate", [0.0, 1.0, -1, 2, float("nan"), True, "0.1", None])
def test_rates_are_shares(rate: object) -> None:
    with pytest.raises(ValueError, match=r"Expected `false_alarm_rate` to be a number in \(0, 1\)"):
        check_rate(rate)  # type: ignore[arg-type]
