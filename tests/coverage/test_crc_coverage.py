"""The promise as a statistic: over 500 random splits it holds, and not because the sets are uselessly large."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import LossTable, calibrate, false_negative_rate_table, minimum_n, threshold_levels

POPULATION, SPLITS, TEST = 1200, 500, 200


Cohort = tuple[LossTable, list[np.ndarray], np.ndarray, np.ndarray]


def population() -> tuple[LossTable, list[np.ndarray]]:
    """Easy and hard cases with 5 to 60 true voxels of continuous scores."""
    random = np.random.default_rng(11)
    tables, scores = [], []
    for i in range(POPULATION):
        size = int(random.integers(5, 60))
        logits = random.normal(random.normal(1.5, 1.5), random.uniform(0.5, 2.5), size)
        values = torch.tensor(1 / (1 + np.exp(-logits)))
        tables.append(
            false_negative_rate_table(
                torch.stack([1 - values, values])[:, None], torch.ones(1, 1, size), unit=f"{i:05d}"
            )
        )
        scores.append(np.sort(values.numpy()))
    return LossTable.join(tables), scores


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Counts, true scores as a list and as rows that are filled up, and the loss at every threshold."""
    table, scores = population()
    rows = np.full((POPULATION, max(map(len, scores))), np.inf)
    for row, of_case in zip(rows, scores, strict=True):
        row[: len(of_case)] = of_case
    return table, scores, rows, table.missed(1) / table.true(1)[:, None]


def exact_threshold(scores: list[np.ndarray], alpha: float) -> float:
    """The weighted quantile of all true scores, each case of weight 1: the largest t with the allowed mass below it."""
    values = np.concatenate(scores)
    weights = np.concatenate([np.full(len(s), 1 / len(s)) for s in scores])
    order = np.argsort(values)
    mass = np.cumsum(weights[order])
    bound = alpha * (len(scores) + 1) - 1
    return 0.0 if bound < -1e-12 else float(values[order][np.searchsorted(mass, bound + 1e-12, side="right")])


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("n", [10, 20, 100])
def test_promise_holds_and_is_tight(cohort: Cohort, alpha: float, n: int) -> None:
    table, scores, rows, losses = cohort
    names, sizes = sorted(table.images), np.isfinite(rows).sum(axis=1)
    levels = threshold_levels().astype(float)
    random = np.random.default_rng(int(1000 * alpha) + n)
    ours, exact, steps = [], [], []
    for _ in range(SPLITS):
        chosen = random.permutation(POPULATION)
        calibration, test = chosen[:n], chosen[n : n + TEST]
        sub_table = replace(table, images={names[i]: table.images[names[i]] for i in calibration})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            threshold = calibrate(sub_table, alpha).threshold[1]
        level = int(np.searchsorted(levels, threshold))
        ours.append(losses[test, level].mean())
        steps.append(losses[test, min(level + 1, len(levels) - 1)].mean() - losses[test, level].mean())
        other = exact_threshold([scores[i] for i in calibration], alpha)
        exact.append(((rows[test] < other).sum(axis=1) / sizes[test]).mean())
    error = np.std(ours, ddof=1) / np.sqrt(SPLITS)
    observed = float(np.mean(ours))
    assert observed <= alpha + 3 * error
    assert observed >= np.mean(exact) - np.mean(steps) - 3 * error
    if n < minimum_n(alpha):
        assert observed == 0
    if n == 100:
        assert observed >= alpha - 2 / (n + 1) - 3 * error
