"""The monitors as statistics: quiet at the stated rate while nothing changes, loud within tens of cases when it does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from monai_rwcp.monitoring import (
    CaseSummaries,
    ExchangeabilityMartingale,
    ExchangeabilityMonitor,
    ImageSummary,
    RealisedLossMonitor,
    online_p_value,
)
from monai_rwcp.monitoring.betting import SharedBets

STREAMS, CALIBRATION, CASES = 1000, 30, 60
NAMES = ("share", "uncertainty", "mean", "sharpness")


def numbers(random: np.random.Generator, n: int) -> np.ndarray:
    """Correlated, skewed summaries with ties, ``[n, 4]``."""
    values = random.normal(size=(n, 1)) + random.normal(size=(n, 4))
    values[:, 0] = np.round(values[:, 0])
    return np.exp(values)


def monitored(random: np.random.Generator, rate: float, shift: Callable[[np.ndarray], np.ndarray] | None) -> int | None:
    """Number of cases after which a fresh monitor raises the alarm; a shift comes after 10 cases."""
    rows = numbers(random, CALIBRATION + CASES)
    if shift is not None:
        rows[CALIBRATION + 10 :] = shift(rows[CALIBRATION + 10 :])
    summaries = [dict(zip(NAMES, map(float, row), strict=True)) for row in rows]
    reference = CaseSummaries({f"old {i}": ImageSummary(f"old {i}", s) for i, s in enumerate(summaries[:CALIBRATION])})
    monitor = ExchangeabilityMonitor(reference, false_alarm_rate=rate, seed=int(random.integers(2**31)))
    for i, values in enumerate(summaries[CALIBRATION:]):
        monitor.observe(f"new {i}", values)
    return monitor.alarmed_after


def within(alarms: int, rate: float) -> bool:
    return alarms / STREAMS <= rate + 3 * np.sqrt(rate * (1 - rate) / STREAMS)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_exchangeable_streams_are_quiet(rate: float) -> None:
    random = np.random.default_rng(int(100 * rate))
    alarms = sum(monitored(random, rate, None) is not None for _ in range(STREAMS))
    assert within(alarms, rate)


@pytest.mark.slow
def test_the_rate_of_one_martingale_is_not_far_below_what_is_stated() -> None:
    """A monitor that never speaks would be quiet, too."""
    random = np.random.default_rng(8)
    alarms = 0
    for _ in range(STREAMS):
        values = numbers(random, CALIBRATION + 2 * CASES)[:, 3]
        martingale = ExchangeabilityMartingale(values[:CALIBRATION])
        capitals = []
        for value in values[CALIBRATION:]:
            martingale.observe(value, random.uniform())
            capitals.append(martingale.capital)
        alarms += max(capitals) >= 10
    assert within(alarms, 0.1)
    assert alarms / STREAMS >= 0.03


@pytest.mark.slow
def test_p_values_against_the_calibration_alone_would_cry_wolf() -> None:
    """Why each case is ranked among the stream before it, too: the same bets break their rate without."""
    random = np.random.default_rng(9)
    alarms = 0
    for _ in range(STREAMS):
        values = random.normal(size=CALIBRATION + 4 * CASES)
        calibration, bets, capitals = sorted(values[:CALIBRATION]), SharedBets(5), []
        for value in values[CALIBRATION:]:
            p = online_p_value(calibration, value, random.uniform())
            bets.play(np.array([1.0, 3 * (1 - p) ** 2, 3 * p**2, 0.5 * p**-0.5, 0.5 * (1 - p) ** -0.5]))
            capitals.append(bets.capital)
        alarms += max(capitals) >= 100
    assert alarms / STREAMS > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("column", [1, 3])
@pytest.mark.parametrize("factor", [np.exp(-3.0), np.exp(3.0)])
def test_a_change_is_noticed_within_tens_of_cases(column: int, factor: float) -> None:
    def shift(rows: np.ndarray) -> np.ndarray:
        changed = rows.copy()
        changed[:, column] *= factor
        return changed

    random = np.random.default_rng(column)
    after = [monitored(random, 0.01, shift) for _ in range(100)]
    waits = sorted(np.inf if n is None else n - 10 for n in after)
    assert waits[0] > 0
    assert waits[50] <= 20
    assert waits[95] <= 40


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["all or nothing", "beta", "constant"])
def test_losses_at_the_tolerated_mean_are_quiet(kind: str) -> None:
    rate, mean, random = 0.05, 0.15, np.random.default_rng(6)
    alarms = 0
    for stream in range(STREAMS):
        losses = {
            "all or nothing": lambda: (random.uniform(size=200) < mean).astype(float),
            "beta": lambda: random.beta(mean, 1 - mean, 200),
            "constant": lambda: np.full(200, mean),
        }[kind]()
        monitor = RealisedLossMonitor(mean, rate)
        for loss in losses:
            monitor.observe(float(loss))
        alarms += monitor.alarmed_after is not None
        if stream < 100 or monitor.alarmed_after is not None:
            # The bound only rises, so its last value says whether it was ever wrong, up to what it is found to.
            assert (monitor.lower_bound() > mean - 1e-4) == (monitor.alarmed_after is not None)
    assert within(alarms, rate)


@pytest.mark.slow
def test_losses_above_the_tolerated_mean_are_noticed() -> None:
    random = np.random.default_rng(7)
    after = []
    for _ in range(200):
        monitor = RealisedLossMonitor(0.15, 0.01)
        for loss in random.beta(1, 2, 100):
            monitor.observe(float(loss))
        after.append(np.inf if monitor.alarmed_after is None else monitor.alarmed_after)
    assert np.median(after) <= 25
    assert np.mean(np.isfinite(after)) >= 0.99
