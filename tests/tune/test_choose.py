"""Which candidate is chosen: against loops, and on populations where the right answer is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from monai_rwcp.scores import BlurredScore, PlainScore, Score, WalkedScore
from monai_rwcp.tune import SetCurves, choose, efficiency, set_curves, tuning_thresholds, working_level
from monai_rwcp.tune.choosing import choose_by_distance

PLAIN, BLUR, WALK = PlainScore(), BlurredScore(1.0), WalkedScore()


def population(noise: float, n: int = 12, seed: int = 0, extra: float = 0.0) -> SetCurves:
    """Scores of a square of varying place; the noise is the same for every population but for its size."""
    rows = []
    for i in range(n):
        generator = torch.Generator().manual_seed(1000 * seed + i)
        label = torch.zeros(1, 20, 20)
        x, y = torch.randint(2, 10, (2,), generator=generator).tolist()
        label[0, x : x + 7, y : y + 6] = 1
        if i % 6 == 5:
            label[0, :2, :2] = 2
        logits = torch.stack([(label[0] == c).float() * 4 for c in range(3)])
        logits = logits + noise * torch.randn(3, 20, 20, generator=generator)
        own = torch.Generator().manual_seed(7 * i + 1)
        logits = logits + extra * torch.randn(3, 20, 20, generator=own)
        rows.append(set_curves(torch.softmax(logits, dim=0), label, unit=f"p{i}"))
    return SetCurves.join(rows)


@pytest.mark.parametrize("objective", ["stretch", "dice"])
@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_objective_is_that_of_a_loop(alpha: float, objective: str) -> None:
    curves = population(3.0)
    weights = np.random.default_rng(1).integers(0, 3, size=(5, 12)).astype(float)
    weights[:, 5] += 1
    values, steps = efficiency(curves, alpha, objective, weights)  # type: ignore[arg-type]
    for draw, w in enumerate(weights):
        by_class = []
        for c in range(2):
            chosen = 0
            for j in range(len(tuning_thresholds())):
                shown = [i for i in range(12) if curves.true[i, c] > 0 and w[i] > 0]
                rate = sum(w[i] * curves.missed[i, c, j] / curves.true[i, c] for i in shown) / sum(w[i] for i in shown)
                if rate <= alpha + 1e-12:
                    chosen = j
            assert steps[draw, c] == chosen
            worth = curves.stretch if objective == "stretch" else curves.dice
            by_class.append(sum(w[i] * worth[i, c, chosen] for i in shown) / sum(w[i] for i in shown))
        assert values[draw] == pytest.approx(np.mean(by_class), rel=1e-12)


def test_the_standard_error_is_that_of_a_loop() -> None:
    curves: dict[Score, SetCurves] = {PLAIN: population(3.0), WALK: population(2.0)}
    choice = choose(curves, 0.1, draws=50, seed=4)
    picks = np.random.default_rng(4).integers(0, 12, size=(50, 12))
    apart = []
    for pick in picks:
        w = np.bincount(pick, minlength=12)[None]
        one, other = (efficiency(curves[c], 0.1, "stretch", w)[0][0] for c in (PLAIN, WALK))
        apart.append(one - other)
    by_candidate = {result.candidate: result for result in choice.results}
    assert by_candidate[PLAIN].standard_error == pytest.approx(np.nanstd(apart, ddof=1), rel=1e-12)
    assert by_candidate[WALK].standard_error == 0
    assert by_candidate[PLAIN].worse_in == np.mean(np.array(apart) > 0)
    assert by_candidate[WALK].worse_in == 0
    plain, walk = (efficiency(curves[c], 0.1)[0][0] for c in (PLAIN, WALK))
    assert by_candidate[PLAIN].difference == pytest.approx(plain - walk, rel=1e-12)


@pytest.mark.parametrize("objective", ["stretch", "dice"])
def test_the_clearly_best_is_chosen(objective: str) -> None:
    for best in (PLAIN, BLUR, WALK):
        curves = {c: population(1.0 if c is best else 3.0, extra=0.0) for c in (WALK, BLUR, PLAIN)}
        choice = choose(curves, 0.1, objective)  # type: ignore[arg-type]
        assert choice.chosen is best
        assert choice.results[0].candidate is best
        assert best.name in choice.why


def test_of_equals_the_simplest_is_chosen() -> None:
    curves = {c: population(2.5, extra=extra) for c, extra in ((WALK, 0.0), (BLUR, 0.05), (PLAIN, 0.08))}
    choice = choose(curves, 0.1)
    assert choice.chosen is PLAIN
    assert choose({WALK: curves[WALK], BLUR: curves[WALK]}, 0.1).chosen is BLUR


def test_the_rule_is_one_standard_error_and_heavy_tails_do_not_upset_it() -> None:
    units = tuple(f"p{i}" for i in range(16))
    better = np.ones((16, 1))
    normal = np.random.default_rng(0).normal(0, 1, (16, 1))
    normal -= normal.mean()
    # Of the mean of 16 by the bootstrap.
    error = float(normal.std()) / 4
    for shift, chosen in ((0.8 * error, PLAIN), (1.2 * error, WALK)):
        distances: dict[Score, np.ndarray] = {PLAIN: 5 + normal + shift, WALK: 5 * better}
        assert choose_by_distance(distances, {c: {1: 0.5} for c in distances}, units, draws=4000).chosen is chosen
    # One patient in sixteen far off: each patient is worse, but the standard error is as large as the difference.
    tail = 5 + 0.1 * better
    tail[3] += 1000
    choice = choose_by_distance(
        {PLAIN: tail, WALK: 5 * better}, {c: {1: 0.5} for c in (PLAIN, WALK)}, units, draws=4000
    )
    plain = next(result for result in choice.results if result.candidate is PLAIN)
    assert plain.difference < 1.1 * plain.standard_error
    assert choice.chosen is WALK


def test_the_choice_is_repeatable_and_says_on_whom() -> None:
    curves: dict[Score, SetCurves] = {PLAIN: population(3.0), BLUR: population(2.8, extra=1)}
    one, other = choose(curves, 0.1), choose(curves, 0.1)
    assert one == other
    assert one.units == tuple(f"p{i}" for i in range(12))
    assert set(one.results[0].thresholds) == {1, 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": -0.1}, r"`alpha` to be a number in \[0, 1\)"),
        ({"alpha": 1.0}, r"`alpha` to be a number in \[0, 1\)"),
        ({"alpha": float("nan")}, r"`alpha` to be a number in \[0, 1\)"),
        ({"objective": "strech"}, '`objective` to be "safe_stretch", "stretch" or "dice"'),
        ({"objective": "hausdorff_distance_95"}, "`tune_settings` measures them"),
        ({"draws": 1}, "`draws` to be a whole number of at least 2"),
        ({"curves": {}}, "some candidates to choose among"),
        ({"curves": {PLAIN: population(1.0, n=1)}}, "at least 2 tuning units"),
        ({"curves": {PLAIN: population(1.0), BLUR: population(1.0, n=5)}}, "the same units, in the same order"),
    ],
)
def test_bad_input_is_named(change: dict, message: str) -> None:
    arguments = {"curves": {PLAIN: population(1.0)}} | change
    with pytest.raises(ValueError, match=message):
        choose(**arguments)


@pytest.mark.parametrize(("alpha", "objective"), [(-0.1, "stretch"), (float("nan"), "stretch"), (0.1, "strech")])
def test_a_value_is_of_a_known_objective_at_a_possible_level(alpha: float, objective: Any) -> None:
    with pytest.raises(ValueError, match="Expected `(alpha|objective)`"):
        efficiency(population(1.0), alpha, objective)


def test_at_level_zero_nothing_is_missed() -> None:
    curves = population(1.0)
    _, steps = efficiency(curves, 0.0)
    for c, step in enumerate(steps[0]):
        assert curves.missed[:, c, step].sum() == 0
        assert curves.missed[:, c, step + 1].sum() > 0


def test_the_level_is_what_calibration_works_at() -> None:
    assert working_level(0.1, 9) == 0
    for alpha, n in ((0.05, 19), (0.05, 20), (0.1, 40), (0.2, 25), (0.3, 1000)):
        assert working_level(alpha, n) == pytest.approx(((n + 1) * alpha - 1) / n, abs=1e-15)
    for n in (8, 9.0, True):
        with pytest.raises(ValueError, match="`n_calibration` to be a whole number of at least 9"):
            working_level(0.1, n)  # type: ignore[arg-type]


def test_without_any_truth_there_is_nothing_to_compare() -> None:
    score = torch.softmax(torch.randn(2, 4, 4), dim=0)
    empty = SetCurves.join(set_curves(score, torch.zeros(1, 4, 4), unit=name) for name in "ab")
    assert math.isnan(efficiency(empty, 0.1)[0][0])
    with pytest.raises(ValueError, match="No tuning unit shows any class"):
        choose({PLAIN: empty})
