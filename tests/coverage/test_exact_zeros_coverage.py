"""Images half of which are exact zeros: every promise holds, and where no truth lies at zeros the sets stay small.

A set at a threshold above 0 holds no zero. So truth there is missed, calibration has to count it as missed, and where it
is more than alpha allows nothing but the whole image keeps the promise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import LossTable, Promise, SetLoss, case_loss_table, threshold_levels
from monai_rwcp.conformal.counting.image_counts import ImageCounts
from monai_rwcp.conformal.counting.losses.choice import loss_from
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.conformal.promises.thresholds import last_step_keeping_promise
from monai_rwcp.conformal.sets.prediction_set import set_at

DRAWS, SIZE, N, SIDE, TRUE = 500, 1000, 80, 12, 20
ALPHA, DELTA, TAU = 0.2, 0.1, 0.8
LEVELS = threshold_levels().astype(float)
ZEROS = ("every channel", "own channel")
# In how many patients truth lies at zeros, and how much of it there.
TRUTH_AT_ZEROS = {"none": (0.0, 0.0), "some": (0.1, 0.5), "much": (0.5, 0.8)}
EXPECTATIONS = {"crc": Promise(ALPHA), "tolerance": Promise(ALPHA, "tolerance", tau=TAU)}
CERTAINTIES = {
    "hoeffding_bentkus": Promise(ALPHA, "rcps", delta=DELTA),
    "betting": Promise(ALPHA, "rcps", delta=DELTA, bound="betting"),
}


def patient(random: np.random.Generator, where: str, zeros: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A score and a label; one half of the image, above or below, is exact zeros."""
    often, share = TRUTH_AT_ZEROS[where]
    at_zeros = round(share * TRUE) if random.random() < often else 0
    seen, unseen = np.array_split(np.arange(SIDE * SIDE), 2)[:: random.choice([-1, 1])]
    true = [*random.choice(seen, TRUE - at_zeros, replace=False), *random.choice(unseen, at_zeros, replace=False)]
    label = np.zeros(SIDE * SIDE)
    label[true] = 1
    logit = random.normal(np.where(label == 1, random.normal(2, 1), -4), 1.5)
    one = 1 / (1 + np.exp(-logit))
    score = np.stack([1 - one, one])
    score[1, unseen] = 0
    score[0, unseen] = 0 if zeros == "every channel" else 1
    shape = (-1, SIDE, SIDE)
    return torch.tensor(score, dtype=torch.float32).reshape(shape), torch.tensor(label).reshape(shape)


@dataclass(frozen=True)
class Population:
    """Patients of whom anyone is drawn as often as any other; what their sets at every threshold are worth, exactly.

    Args:
        counts: the counts of each.
        mean: the expected loss of a new patient.
        above: how often it is above 1 - TAU.
        stretch: the expected size of the set over the size of the truth.
    """

    counts: list[ImageCounts]
    mean: np.ndarray
    above: np.ndarray
    stretch: np.ndarray


@cache
def population(where: str, zeros: str, loss: SetLoss) -> Population:
    random = np.random.default_rng(5)
    counts, total = [], np.zeros((3, len(LEVELS)))
    for i in range(SIZE):
        score, label = patient(random, where, zeros)
        counts.append(case_loss_table(score, label, loss=loss, unit="a").images["a"])
        truth, values = label[0].numpy() == 1, score[1].double().numpy()
        hit, size = (v.size - np.searchsorted(np.sort(v.ravel()), LEVELS) for v in (values[truth], values))
        losses = (size - hit) / np.maximum(size, 1) if loss.of_excess else 1 - hit / TRUE
        total += np.stack([losses, losses > 1 - TAU + 1e-12, size / TRUE])
        if i < 5:
            for step in range(0, len(LEVELS), 500):
                assert int(set_at(score, {1: float(LEVELS[step])}).sum()) == size[step]
    return Population(counts, *(total / SIZE))


@cache
def realised(where: str, zeros: str, loss_name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The true risk and the true stretch at the thresholds that each promise chose, one of each draw."""
    loss = loss_from(loss_name)  # type: ignore[arg-type]
    everyone = population(where, zeros, loss)
    promises = EXPECTATIONS | CERTAINTIES if loss.monotone else {"ltt": Promise(ALPHA, "ltt", delta=DELTA)}
    found: dict[str, list[tuple[float, float]]] = {method: [] for method in promises}
    random = np.random.default_rng(3)
    for _ in range(DRAWS):
        names = {f"{i:03d}": everyone.counts[chosen] for i, chosen in enumerate(random.integers(0, SIZE, N))}
        images = {name: replace(counts, unit=name) for name, counts in names.items()}
        losses = UnitLosses(LossTable(2, (1,), images, loss=loss), 1, CountingOptions())
        for method, promise in promises.items():
            threshold = losses.thresholds[last_step_keeping_promise(losses, promise)]
            step = np.searchsorted(LEVELS, threshold)
            curve = everyone.above if method == "tolerance" else everyone.mean
            found[method].append((0.0, 0.0) if threshold > 1 else (curve[step], everyone.stretch[step]))
    return {method: tuple(np.array(values).T) for method, values in found.items()}  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("where", ["none", "some"])
@pytest.mark.parametrize("method", EXPECTATIONS)
def test_expectation_holds_is_tight_and_sets_are_small(where: str, zeros: str, method: str) -> None:
    risks, stretches = realised(where, zeros, "fnr")[method]
    error = float(np.std(risks, ddof=1) / np.sqrt(DRAWS))
    assert ALPHA - 2 / (N + 1) - 3 * error <= risks.mean() <= ALPHA + 3 * error
    # The zeros alone are 3.6 times the truth.
    assert 0.5 < stretches.mean() < 1.5


@pytest.mark.slow
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("where", ["none", "some"])
@pytest.mark.parametrize("bound", CERTAINTIES)
def test_certainty_holds_and_is_not_useless(where: str, zeros: str, bound: str) -> None:
    risks, stretches = realised(where, zeros, "fnr")[bound]
    assert (risks > ALPHA).mean() <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / DRAWS)
    assert risks.mean() >= 0.4 * ALPHA
    assert 0.5 < stretches.mean() < 2.5


@pytest.mark.slow
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("method", [*EXPECTATIONS, *CERTAINTIES])
def test_where_zeros_hold_more_than_alpha_only_the_whole_image_keeps_the_promise(zeros: str, method: str) -> None:
    everyone = population("much", zeros, loss_from("fnr"))
    # Any other set, also that of the lowest threshold, would break it.
    assert everyone.mean[1] > 1.5 * ALPHA
    assert everyone.above[1] > 1.5 * ALPHA
    risks, stretches = realised("much", zeros, "fnr")[method]
    assert set(risks) == {0.0}
    np.testing.assert_allclose(stretches, SIDE * SIDE / TRUE)


@pytest.mark.slow
@pytest.mark.parametrize("zeros", ZEROS)
@pytest.mark.parametrize("where", TRUTH_AT_ZEROS)
def test_learn_then_test_holds_and_is_not_useless(where: str, zeros: str) -> None:
    """Of what a set claims wrongly zeros are none, wherever the truth lies."""
    risks, stretches = realised(where, zeros, "false_discovery")["ltt"]
    assert (risks > ALPHA).mean() <= DELTA + 3 * np.sqrt(DELTA * (1 - DELTA) / DRAWS)
    assert risks.mean() >= 0.3 * ALPHA
    assert 0.3 < stretches.mean() < 1.5
