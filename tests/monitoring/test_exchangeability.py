"""Online p-values and their martingale against counts and integrals made another way."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest

from monai_rwcp.monitoring import ExchangeabilityMartingale, online_p_value
from monai_rwcp.monitoring.exchangeability import fewest_cases_to_alarm


@pytest.mark.parametrize(
    ("value", "tie", "expected"),
    [(9.0, 0.5, 0.5 / 5), (2.0, 0.25, (1 + 0.25 * 3) / 5), (0.0, 0.5, 4.5 / 5), (2.5, 0.9, (1 + 0.9) / 5)],
)
def test_p_values_by_hand(value: float, tie: float, expected: float) -> None:
    assert online_p_value([1.0, 2.0, 2.0, 3.0], value, tie) == pytest.approx(expected)


def test_p_values_of_a_stream_against_a_plain_count() -> None:
    random = np.random.default_rng(5)
    numbers, ties = random.integers(0, 6, 40).astype(float), random.uniform(size=40)
    martingale = ExchangeabilityMartingale(numbers[:15])
    for n in range(15, 40):
        earlier = numbers[:n]
        expected = ((earlier > numbers[n]).sum() + ties[n] * (1 + (earlier == numbers[n]).sum())) / (n + 1)
        assert martingale.observe(numbers[n], ties[n]) == pytest.approx(expected)


def test_ranks_in_all_orders_are_uniform_and_independent() -> None:
    """Over all orders of six numbers, three of them calibration, each triple of ranks occurs equally often."""
    triples: Counter[tuple[float, ...]] = Counter()
    for order in itertools.permutations([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]):
        triples[tuple(round(online_p_value(sorted(order[:n]), order[n], 0.0) * (n + 1)) for n in (3, 4, 5))] += 1
    assert len(triples) == 4 * 5 * 6
    assert set(triples.values()) == {720 // 120}


def test_bets_pay_one_on_average() -> None:
    """The capital after one case, integrated over its p-value, is 1, and so is each bet's own."""
    # With no calibration case but equal ones the p-value is the tie breaker itself.
    points = (np.arange(200_000) + 0.5) / 200_000
    bets = np.array([np.ones_like(points), 3 * (1 - points) ** 2, 3 * points**2, 0.5 / np.sqrt(points), 0.5 / np.sqrt(1 - points)])  # fmt: skip
    assert bets.mean(axis=1) == pytest.approx(np.ones(5), abs=2e-3)
    for p in (0.003, 0.2, 0.5, 0.97):
        martingale = ExchangeabilityMartingale([1.0])
        assert martingale.observe(1.0, p) == pytest.approx(p)
        one = [1, 3 * (1 - p) ** 2, 3 * p**2, 0.5 / np.sqrt(p), 0.5 / np.sqrt(1 - p)]
        assert martingale.capital == pytest.approx(np.mean(one))


@pytest.mark.parametrize(("shift", "direction"), [(3.0, "higher"), (-3.0, "lower")])
def test_a_change_is_noticed_late_in_a_stream(shift: float, direction: str) -> None:
    random = np.random.default_rng(0)
    martingale = ExchangeabilityMartingale(random.normal(size=100))
    for value in random.normal(size=200):
        martingale.observe(value, random.uniform())
    assert martingale.capital < 10
    for value in random.normal(shift, size=15):
        martingale.observe(value, random.uniform())
    assert martingale.capital > 1000
    assert martingale.direction == direction


def test_fewest_cases() -> None:
    for n, capital in ((5, 100.0), (36, 100.0), (36, 700.0), (500, 1e6)):
        fewest = fewest_cases_to_alarm(n, capital)
        martingale = ExchangeabilityMartingale(np.zeros(n))
        reached = []
        for i in range(fewest):
            martingale.observe(i + 1.0, 0.5)
            reached.append(martingale.capital >= capital)
        assert reached == [False] * (fewest - 1) + [True]


def test_no_calibration_numbers() -> None:
    with pytest.raises(ValueError, match="at least one calibration number"):
        ExchangeabilityMartingale([])
