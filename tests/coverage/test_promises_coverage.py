"""Every promise as a statistic: 500 calibration draws, the true risk from a population that none of them has seen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest

from monai_rwcp.conformal import ImageCounts, LossTable, calibrate, threshold_levels

DRAWS, FRESH = 500, 20_000
ALPHA, DELTA, TAU = 0.2, 0.1, 0.8
LEVELS = threshold_levels().astype(float)


def units(random: np.random.Generator, n: int) -> Iterator[list[np.ndarray]]:
    """Levels of the true voxels of each slice; slices of a patient share how hard the patient is."""
    for hard, wide, slices in zip(
        random.normal(1.5, 1.2, n), random.uniform(0.5, 2.0, n), random.integers(1, 5, n), strict=True
    ):
        yield [
            np.searchsorted(LEVELS, 1 / (1 + np.exp(-random.normal(hard + shift, wide, size))), side="right") - 1
            for shift, size in zip(random.normal(0, 0.5, slices), random.integers(4, 25, slices), strict=True)
        ]


@pytest.fixture(scope="module")
def risk() -> dict[str, np.ndarray]:
    """At every level: the expected loss of a new unit, and the probability that less than TAU of it is covered."""
    mean, short = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    for slices in units(np.random.default_rng(99), FRESH):
        voxels = np.concatenate(slices)
        missed = np.cumsum(np.bincount(voxels + 1, minlength=len(LEVELS) + 1)[: len(LEVELS)]) / len(voxels)
        mean += missed
        short += missed > 1 - TAU + 1e-12
    return {"loss": mean / FRESH, "short": short / FRESH}


def chosen_levels(n: int, seed: int, **options: object) -> np.ndarray:
    random = np.random.default_rng(seed)
    levels = []
    for _ in range(DRAWS):
        images = {}
        for i, slices in enumerate(units(random, n)):
            for s, voxels in enumerate(slices):
                values, counts = np.unique(voxels, return_counts=True)
                images[f"{i:03d} {s}"] = ImageCounts(f"{i:03d}", {1: values}, {1: counts})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = calibrate(LossTable(2, (1,), images), ALPHA, **options)  # type: ignore[arg-type]
        levels.append(int(np.searchsorted(LEVELS, found.threshold[1])))
    return np.array(levels)


@pytest.mark.slow
@pytest.mark.parametrize("n", [25, 100])
@pytest.mark.parametrize("method", ["crc", "tolerance"])
def test_expectation_holds_and_is_tight(risk: dict[str, np.ndarray], method: str, n: int) -> None:
    options = {"tau": TAU} if method == "tolerance" else {}
    curve = risk["short" if method == "tolerance" else "loss"]
    realised = curve[chosen_levels(n, 7 + n, method=method, **options)]
    error = float(np.std(realised, ddof=1) / np.sqrt(DRAWS))
    assert realised.mean() <= ALPHA + 3 * error
    # The known slack of crc is 2 / (n + 1); the grid's steps are smaller than the error.
    assert realised.mean() >= ALPHA - 2 / (n + 1) - 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("n", [25, 100])
@pytest.mark.parametrize(("bound", "least"), [("hoeffding_bentkus", 0.5), ("betting", 0.6)])
def test_certainty_holds_and_is_not_useless(risk: dict[str, np.ndarray], bound: str, least: float, n: int) -> None:
    realised = risk["loss"][chosen_levels(n, 3 + n, method="rcps", delta=DELTA, bound=bound)]
    exceeded = float((realised > ALPHA).mean())
    assert exceeded <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / DRAWS)
    if n == 100:
        assert realised.mean() >= least * ALPHA
    else:
        assert realised.mean() > 0
