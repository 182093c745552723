"""Weighted conformal risk control as a statistic: calibrated on one population, right for another."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_rwcp.conformal import LossTable, calibrate, fit_density_ratio, threshold_levels
from monai_rwcp.conformal.counting.image_counts import Histogram, ImageCounts

DRAWS, N, ALPHA = 500, 100, 0.2
LEVELS = threshold_levels().astype(float)
TOP = len(LEVELS) - 1
# How dark the image is: N(0, 1) where the calibration is from, N(0.7, 1) where it is used; dark images are harder.
SHIFT = 0.7


def levels_of(random: np.random.Generator, dark: float) -> np.ndarray:
    logits = random.normal(2.0 - 1.2 * dark + random.normal(0, 0.5), 1.0, 30)
    return np.searchsorted(LEVELS, 1 / (1 + np.exp(-logits)), side="right") - 1


def table_of(units: list[np.ndarray]) -> LossTable:
    images = {
        f"{i:03d}": ImageCounts(f"{i:03d}", {1: Histogram.of(np.bincount(levels, minlength=TOP + 1))})
        for i, levels in enumerate(units)
    }
    return LossTable(2, (1,), images)


def true_ratio(dark: float) -> float:
    return math.exp(SHIFT * dark - SHIFT**2 / 2)


def image_levels(random: np.random.Generator, dark: float) -> np.ndarray:
    """Levels of the true voxels of one image of a patient, whose images differ."""
    return levels_of(random, dark + random.normal(0, 0.5))


def loss_at(levels: np.ndarray, threshold: float) -> float:
    return float((levels < np.searchsorted(LEVELS, threshold)).mean())


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["none", "true", "estimated"])
def test_the_promise_holds_in_the_other_population(weighting: str) -> None:
    random = np.random.default_rng(5)
    estimated = fit_density_ratio(random.normal(0, 1, (300, 1)), random.normal(SHIFT, 1, (300, 1)))
    losses = []
    for _ in range(DRAWS):
        dark = random.normal(0, 1, N)
        table = table_of([levels_of(random, d) for d in dark])
        new = random.normal(SHIFT, 1, 20)
        if weighting == "none":
            found = calibrate(table, ALPHA)
            chosen = [found.threshold[1]] * len(new)
        else:
            ratio = true_ratio if weighting == "true" else lambda d: estimated.weight([d])
            found = calibrate(table, ALPHA, weights={f"{i:03d}": ratio(d) for i, d in enumerate(dark)})
            chosen = [found.thresholds_for(weight=ratio(d))[1] for d in new]
        losses.append(np.mean([loss_at(levels_of(random, d), t) for d, t in zip(new, chosen, strict=True)]))
    mean, error = float(np.mean(losses)), float(np.std(losses, ddof=1) / math.sqrt(DRAWS))
    if weighting == "none":
        assert mean > ALPHA + 10 * error  # which is what the weights are for
        return
    # An estimated ratio is a little off, and so is the promise.
    off = 0.02 if weighting == "estimated" else 0.0
    assert mean <= ALPHA + 3 * error + off
    assert mean >= 0.75 * ALPHA - 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("n", [15, 60])
def test_patients_of_several_images_are_weighed_as_patients(n: int) -> None:
    """Six images a patient, who is what differs between the populations; all of them carry the patient's weight."""
    random = np.random.default_rng(6)
    losses = []
    for _ in range(DRAWS):
        dark = random.normal(0, 1, n)
        images = {
            f"{i:03d} {j}": ImageCounts(
                f"{i:03d}",
                {1: Histogram.of(np.bincount(image_levels(random, d), minlength=TOP + 1))},
                shift_weight=true_ratio(d),
            )
            for i, d in enumerate(dark)
            for j in range(6)
        }
        table = LossTable(2, (1,), images, unit_name="patient")
        found = calibrate(table, ALPHA, weights=table.shift_weights)
        for d in random.normal(SHIFT, 1, 5):
            levels = np.concatenate([image_levels(random, d) for _ in range(6)])
            losses.append(loss_at(levels, found.thresholds_for(weight=true_ratio(d))[1]))
    by_draw = np.array(losses).reshape(DRAWS, -1).mean(axis=1)
    mean, error = float(by_draw.mean()), float(by_draw.std(ddof=1) / math.sqrt(DRAWS))
    assert mean <= ALPHA + 3 * error
    assert mean >= (0.4 if n == 15 else 0.7) * ALPHA - 3 * error
