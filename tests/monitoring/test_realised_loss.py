"""The test of realised losses: capital, bound and losses against independent counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import LossTable, calibrate, false_negative_rate_table
from monai_rwcp.monitoring import RealisedLossMonitor, realised_losses

STAKES = (0, 0.05, 0.1, 0.2, 0.4, 0.8)


def capital(losses: np.ndarray, tolerated: float) -> float:
    """Capital of six gamblers who may change stakes: one transition matrix for each case."""
    change = 0.99 * np.eye(6) + 0.01 / 6
    wealth = np.full(6, 1 / 6)
    for loss in losses:
        wealth = np.array([1 + g * (loss - tolerated) / tolerated for g in STAKES]) * (change.T @ wealth)
    return float(wealth.sum())


def test_capital_and_alarm() -> None:
    losses = np.random.default_rng(2).uniform(0, 0.8, 30)
    monitor = RealisedLossMonitor(0.15, 0.02)
    expected = None
    for n, loss in enumerate(losses, start=1):
        monitor.observe(loss)
        assert monitor.capital == pytest.approx(capital(losses[:n], 0.15))
        if expected is None and capital(losses[:n], 0.15) >= 50:
            expected = n
    assert expected is not None
    assert monitor.alarmed_after == expected


def test_lower_bound_is_the_largest_mean_ever_refuted() -> None:
    losses = np.random.default_rng(4).beta(1, 2, 60)
    monitor = RealisedLossMonitor(0.1, 0.05)
    bounds = []
    for loss in losses:
        monitor.observe(loss)
        bounds.append(monitor.lower_bound())
    assert bounds == sorted(bounds)
    assert 0.1 < bounds[-1] < losses.mean()
    means = np.linspace(0.01, 0.99, 99)
    refuted = [max(capital(losses[:n], m) for n in range(1, 61)) >= 20 for m in means]
    assert [bounds[-1] >= m for m in means] == refuted


def test_no_losses_no_bound() -> None:
    monitor = RealisedLossMonitor(0.1)
    assert (monitor.capital, monitor.alarmed_after, monitor.lower_bound()) == (1, None, 0)
    for _ in range(50):
        monitor.observe(0.0)
    assert monitor.capital < 1
    assert monitor.lower_bound() == 0


@pytest.mark.parametrize("loss", [-0.1, 1.1, float("nan"), True, "0.1"])
def test_losses_are_shares(loss: object) -> None:
    with pytest.raises(ValueError, match=r"a loss to be a number in \[0, 1\]"):
        RealisedLossMonitor(0.1).observe(loss)  # type: ignore[arg-type]


def test_tolerated_is_a_share() -> None:
    with pytest.raises(ValueError, match="`tolerated`"):
        RealisedLossMonitor(0.0)


def cases(n: int, shift: float = 0.0) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Two images for each unit; some of them show class 1 only."""
    generator = torch.Generator().manual_seed(n)
    made = []
    for i in range(2 * n):
        label = torch.randint(0, 2 if i % 3 == 0 else 3, (1, 6, 6), generator=generator)
        noise = torch.randn(3, 6, 6, generator=generator)
        one_hot = torch.nn.functional.one_hot(label[0], 3).movedim(-1, 0)
        made.append((f"p{i // 2}", torch.softmax((2 - shift) * one_hot + noise, 0), label))
    return made


@pytest.mark.parametrize(("unit_loss", "empty"), list(itertools.product(["pooled", "mean"], ["exclude", "zero"])))
def test_realised_losses_against_a_plain_count(unit_loss: str, empty: str) -> None:
    def table(of: list[tuple[str, torch.Tensor, torch.Tensor]]) -> LossTable:
        return LossTable.join(
            false_negative_rate_table(score, label, unit=unit, image=str(i))
            for i, (unit, score, label) in enumerate(of)
        )

    calibration = calibrate(table(cases(30)), 0.2, unit_loss=unit_loss, empty=empty)  # type: ignore[arg-type]
    new = cases(7, shift=0.5)
    # A unit that shows class 1 nowhere.
    new.append(("p_empty", new[0][1], 2 * (new[0][2] == 2).long()))
    found = realised_losses(table(new), calibration)
    for c, threshold in calibration.threshold.items():
        missed: dict[str, list[int]] = {}
        true: dict[str, list[int]] = {}
        for unit, score, label in new:
            mask = label[0] == c
            missed.setdefault(unit, []).append(int((mask & (score[c] < threshold)).sum()))
            true.setdefault(unit, []).append(int(mask.sum()))
        expected = {}
        for unit in missed:
            if unit_loss == "pooled" and sum(true[unit]):
                expected[unit] = sum(missed[unit]) / sum(true[unit])
            elif sum(true[unit]):
                expected[unit] = np.mean([m / t for m, t in zip(missed[unit], true[unit], strict=True) if t])
            elif empty == "zero":
                expected[unit] = 0.0
        assert found[c] == pytest.approx(expected)
        assert list(found[c]) == list(expected)
    assert ("p_empty" in found[1]) == (empty == "zero")


def test_losses_of_another_kind_are_refused() -> None:
    parts = [false_negative_rate_table(s, y, unit=u, image=str(i)) for i, (u, s, y) in enumerate(cases(12))]
    calibration = calibrate(LossTable.join(parts), 0.2)
    _, score, label = cases(12)[0]
    other = false_negative_rate_table(score, label, unit="p", include_background=True)
    with pytest.raises(ValueError, match=r"Expected the classes \[1, 2\], as calibrated, got \[0, 1, 2\]"):
        realised_losses(other, calibration)
