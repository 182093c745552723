"""Every loss and every promise as a statistic: 500 calibration draws from a population whose risk is known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from monai_rwcp.conformal import (
    CustomLoss,
    FalseDiscoveryProportion,
    FalseNegativeRate,
    InnerSetLoss,
    InstanceFalseNegativeRate,
    LossTable,
    Promise,
    SetLoss,
    SurfaceFalseNegativeRate,
    WeightedFalseNegativeRate,
    threshold_levels,
)
from monai_rwcp.conformal.counting.image_counts import Histogram, ImageCounts
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.conformal.promises.thresholds import last_step_keeping_promise

DRAWS, SIZE = 500, 4000
ALPHA, DELTA, TAU = 0.2, 0.1, 0.8
LEVELS = threshold_levels().astype(float)
TOP = len(LEVELS) - 1
PARTS = 2**32
LOSSES: dict[str, SetLoss] = {
    loss.name: loss
    for loss in (
        FalseNegativeRate(),
        WeightedFalseNegativeRate(),
        InstanceFalseNegativeRate(),
        SurfaceFalseNegativeRate(2.0),
        InnerSetLoss(),
        FalseDiscoveryProportion(),
        CustomLoss("any"),
    )
}
EXPECTATIONS = {"crc": Promise(ALPHA), "tolerance": Promise(ALPHA, "tolerance", tau=TAU)}
CERTAINTIES = {
    "hoeffding_bentkus": Promise(ALPHA, "rcps", delta=DELTA),
    "betting": Promise(ALPHA, "rcps", delta=DELTA, bound="betting"),
}
MONOTONE = [name for name, loss in LOSSES.items() if loss.monotone]
LEARN_THEN_TEST = {"ltt": Promise(ALPHA, "ltt", delta=DELTA)}

Slice = tuple[np.ndarray, np.ndarray, np.ndarray]
NOTHING = np.empty(0, dtype=np.int64)


def level_of(logit: np.ndarray) -> np.ndarray:
    return np.searchsorted(LEVELS, 1 / (1 + np.exp(-logit)), side="right") - 1


def slices_of(random: np.random.Generator, name: str, hard: float, wide: float) -> Iterator[Slice]:
    """Levels and counts of the truth, and levels of what is not true, in each slice of one patient."""
    for _ in range(int(random.integers(1, 5))):
        middle, size = hard + random.normal(0, 0.5), int(random.integers(4, 25))
        if name == "instance_fnr":
            size = int(random.integers(1, 4))
        logits = random.normal(middle, wide, size)
        counts, false = np.ones(size, dtype=np.int64), NOTHING
        if name == "weighted_fnr":
            counts = random.integers(0, 200_000, size) + 1
        if name == "surface_fnr":
            logits = logits.reshape(-1, 1) + np.abs(random.normal(0, 1, (size, 3))).max(axis=1, keepdims=True)
            logits = logits[:, 0]
        if name == "custom":
            # A loss of two jumps, in whole parts of 2^32, that never reaches 1.
            logits, counts = np.append(logits[:2], 50.0), np.array([PARTS // 4, PARTS // 3, 0])
            counts[2] = PARTS - counts.sum()
        if name in ("inner", "false_discovery"):
            false = level_of(random.normal(middle - 4, wide, int(random.integers(10, 60))))
        yield level_of(logits), counts, false


def units(random: np.random.Generator, name: str, n: int) -> Iterator[list[Slice]]:
    """Slices of a patient share how hard the patient is."""
    for hard, wide in zip(random.normal(1.5, 1.2, n), random.uniform(0.5, 2.0, n), strict=True):
        yield list(slices_of(random, name, hard, wide))


@dataclass(frozen=True)
class Population:
    """Units of which anyone is drawn as often as any other, so that the risk of a new one is known exactly.

    Args:
        units: the counts of the images of each unit.
        mean: at every threshold the expected loss of a new unit.
        above: at every threshold how often it is above 1 - TAU.
    """

    units: list[list[tuple[Histogram, Histogram | None]]]
    mean: np.ndarray
    above: np.ndarray


@cache
def population(name: str) -> Population:
    images, mean, above = [], np.zeros(TOP + 1), np.zeros(TOP + 1)
    for slices in units(np.random.default_rng(99), name, SIZE):
        images.append([(histogram(t, n), histogram(f) if len(f) else None) for t, n, f in slices])
        curve = loss_curve(slices, name)
        mean += curve
        above += curve > 1 - TAU + 1e-12
    return Population(images, mean / SIZE, above / SIZE)


def histogram(levels: np.ndarray, counts: np.ndarray | None = None) -> Histogram:
    return Histogram.of(np.bincount(levels, counts, minlength=TOP + 1).astype(np.int64))


def drawn(random: np.random.Generator, name: str, n: int) -> LossTable:
    """A calibration table of units that are drawn one after the other, each from the whole population."""
    everyone = population(name).units
    images = {
        f"{i:03d} {s}": ImageCounts(f"{i:03d}", {1: true}, {} if false is None else {1: false})
        for i, chosen in enumerate(random.integers(0, SIZE, n))
        for s, (true, false) in enumerate(everyone[chosen])
    }
    return LossTable(2, (1,), images, loss=LOSSES[name])


def loss_curve(slices: list[Slice], name: str) -> np.ndarray:
    """The loss of one unit at every threshold, from its definition."""
    levels, counts, false = (np.concatenate(part) for part in zip(*slices, strict=True))
    reached = np.cumsum(np.bincount(levels, counts, minlength=TOP + 1)[::-1])[::-1]
    wrong = np.cumsum(np.bincount(false, minlength=TOP + 1)[::-1])[::-1]
    if name == "inner":
        return np.minimum(1, wrong / counts.sum())
    if name == "false_discovery":
        return wrong / np.maximum(wrong + reached, 1)
    return 1 - reached / counts.sum()


def realised(name: str, n: int, promises: dict[str, Promise]) -> dict[str, np.ndarray]:
    """The true risk at the thresholds that each promise chose, one of each draw."""
    everyone = population(name)
    found: dict[str, list[float]] = {method: [] for method in promises}
    random = np.random.default_rng(7 + n)
    for _ in range(DRAWS):
        losses = UnitLosses(drawn(random, name, n), 1, CountingOptions())
        for method, promise in promises.items():
            threshold = losses.thresholds[last_step_keeping_promise(losses, promise)]
            curve = everyone.above if method == "tolerance" else everyone.mean
            found[method].append(0.0 if threshold > 1 else float(curve[np.searchsorted(LEVELS, threshold)]))
    return {method: np.array(values) for method, values in found.items()}


Case = tuple[str, int, dict[str, np.ndarray]]


@pytest.fixture(
    scope="module", params=[(name, n) for name in MONOTONE for n in (25, 100)], ids=lambda p: f"{p[0]}-{p[1]}"
)
def monotone(request: pytest.FixtureRequest) -> Case:
    name, n = request.param
    return name, n, realised(name, n, EXPECTATIONS | CERTAINTIES)


@pytest.mark.slow
@pytest.mark.parametrize("method", EXPECTATIONS)
def test_expectation_holds_and_is_tight(monotone: Case, method: str) -> None:
    name, n, risks = monotone
    values = risks[method]
    error = float(np.std(values, ddof=1) / np.sqrt(DRAWS))
    assert values.mean() <= ALPHA + 3 * error
    # The slack of crc, where no two units jump at one threshold; a custom loss jumps at few thresholds only.
    slack = 2 / (n + 1) if name != "custom" else 0.5 * ALPHA
    assert values.mean() >= ALPHA - slack - 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("bound", CERTAINTIES)
def test_certainty_holds_and_is_not_useless(monotone: Case, bound: str) -> None:
    _, n, risks = monotone
    values = risks[bound]
    assert (values > ALPHA).mean() <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / DRAWS)
    assert values.mean() >= (0.5 if n == 100 else 0.1) * ALPHA


@pytest.mark.slow
@pytest.mark.parametrize("n", [25, 100])
def test_learn_then_test_holds_and_is_not_useless(n: int) -> None:
    values = realised("false_discovery", n, LEARN_THEN_TEST)["ltt"]
    assert (values > ALPHA).mean() <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / DRAWS)
    assert values.mean() >= (0.3 if n == 100 else 0.05) * ALPHA


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_the_population_has_thresholds_that_break_the_promise(name: str) -> None:
    assert population(name).mean.max() > 1.5 * ALPHA
