"""What candidates do to small structures: against sums by hand, and in what is chosen."""

from __future__ import annotations

import math
from statistics import mean, stdev

import numpy as np
import pytest
import torch

from monai_rwcp.scores import BlurredScore, PlainScore, Score, WalkedScore
from monai_rwcp.tune import SetCurves, choose, set_curves, tune_settings, tuning_thresholds
from monai_rwcp.tune.small_structures import SmallStructures, compare_small_structures
from monai_rwcp.walk import WalkSettings

WALK = WalkedScore(WalkSettings())


def image(size: int, missed: float, extra: int, name: str, height: float = 0.8) -> SetCurves:
    """A structure of so many voxels of 400, a share of which the score does not see; the rest at one height."""
    score, label = torch.zeros(2, 20, 20), torch.zeros(1, 20, 20)
    label[0].flatten()[:size] = 1
    seen = size - round(missed * size)
    score[1].flatten()[:seen] = height
    score[1].flatten()[size : size + extra] = height
    return set_curves(score, label, unit=name)


def test_against_sums_by_hand() -> None:
    random = np.random.default_rng(0)
    owner = {f"image {i}": f"patient {i % 5}" for i in range(23)}
    curves, plain = (
        SetCurves.join(
            image(
                int(random.integers(4, 90)) if name == "plain" else size, float(random.uniform(0, 1)), 3, f"image {i}"
            )
            for i, size in enumerate(sizes)
        )
        for name, sizes in (("own", range(10, 33)), ("other", range(10, 33)))
    )
    step = int(np.searchsorted(tuning_thresholds(), 0.5))
    found = compare_small_structures(curves, [step], plain, [step], owner)
    by_patient: dict[str, list[float]] = {}
    empty: dict[str, list[float]] = {}
    for row in range(23):
        name = owner[f"image {row}"]
        if row < math.ceil(23 / 3):
            by_patient.setdefault(name, []).append(
                curves.missed[row, 0, step] / curves.true[row, 0] - plain.missed[row, 0, step] / plain.true[row, 0]
            )
        empty.setdefault(name, []).append(float(curves.size[row, 0, step] == 0) - float(plain.size[row, 0, step] == 0))
    small, none = ([mean(values) for values in of.values()] for of in (by_patient, empty))
    assert found.missed == pytest.approx(mean(small))
    assert found.missed_error == pytest.approx(stdev(small) / math.sqrt(len(small)))
    assert found.empty == pytest.approx(mean(none))
    assert found.empty_error == pytest.approx(stdev(none) / math.sqrt(len(none)))


@pytest.mark.parametrize(
    ("small", "harmful"),
    [
        (SmallStructures(0.0, 0.0, 0.0, 0.0), False),
        (SmallStructures(0.019, 0.02, 0.0, 0.0), False),
        (SmallStructures(0.021, 0.0, 0.0, 0.0), True),
        (SmallStructures(0.0, 0.051, 0.0, 0.0), True),
        (SmallStructures(-0.1, 0.149, 0.0, 0.0), False),
        (SmallStructures(0.0, 0.0, 0.011, 0.0), True),
        (SmallStructures(0.0, 0.0, 0.0, 0.021), True),
        (SmallStructures(-0.5, math.inf, 0.0, 0.0), True),
    ],
)
def test_what_counts_as_harm(small: SmallStructures, harmful: bool) -> None:
    assert small.is_harmful is harmful


def cohort(lost_by_walk: float, n: int = 12) -> dict[Score, SetCurves]:
    """Large structures that a walk draws tighter, and small ones of which it may lose more."""
    found: dict[Score, list[SetCurves]] = {PlainScore(): [], WALK: []}
    for i in range(n):
        large, small = 150 + i, 10 + (i % 3)
        found[PlainScore()] += [image(large, 0.0, 60, f"{i} large"), image(small, 0.0, 5, f"{i} small")]
        found[WALK] += [image(large, 0.0, 10, f"{i} large"), image(small, lost_by_walk, 1, f"{i} small")]
    return {candidate: SetCurves.join(of) for candidate, of in found.items()}


def owners(n: int = 12) -> dict[str, str]:
    return {f"{i} {size}": f"patient {i}" for i in range(n) for size in ("large", "small")}


def test_smaller_sets_that_lose_small_structures_are_not_chosen() -> None:
    harmful = cohort(lost_by_walk=0.6)
    assert choose(harmful, 0.1, "stretch", owner=owners()).chosen == WALK
    choice = choose(harmful, 0.1, "safe_stretch", owner=owners())
    assert choice.objective == "safe_stretch"
    assert choice.chosen == PlainScore()
    last = choice.results[-1]
    assert last.candidate == WALK
    assert last.is_harmful
    assert last.small is not None
    assert last.small.missed > 0.4
    assert last.value < choice.results[0].value
    # One that loses none wins, and of a loss that patients do not show surely so does the walk.
    assert choose(cohort(lost_by_walk=0.0), 0.1, "safe_stretch", owner=owners()).chosen == WALK


def test_empty_sets_are_harm_too() -> None:
    of = cohort(lost_by_walk=0.0)
    curves = [image(150 + i, 0.0, 10, f"{i} large") for i in range(12)]
    # One patient in twelve without any set, though no more is missed on average than may be.
    small = [image(10 + (i % 3), 0.0, 1, f"{i} small", height=0.0 if i == 0 else 0.8) for i in range(12)]
    rows = [curve for pair in zip(curves, small, strict=True) for curve in pair]
    choice = choose({**of, WALK: SetCurves.join(rows)}, 0.1, "safe_stretch", owner=owners())
    result = next(result for result in choice.results if result.candidate == WALK)
    assert result.small is not None
    assert result.small.empty == pytest.approx(1 / 24)
    assert result.is_harmful
    assert choice.chosen == PlainScore()


def test_without_plain_scores_there_is_nothing_to_compare_with() -> None:
    curves = cohort(0.0)
    with pytest.raises(ValueError, match=r"Expected PlainScore\(\) among the candidates"):
        choose({WALK: curves[WALK]}, 0.1, "safe_stretch", owner=owners())
    assert choose({WALK: curves[WALK]}, 0.1, "stretch", owner=owners()).chosen == WALK


def test_tuning_counts_by_image_and_lets_plain_take_part() -> None:
    generator = torch.Generator().manual_seed(0)
    cases = []
    for patient in range(6):
        for size in (2, 9):
            label = torch.zeros(1, 24, 24)
            label[0, 3 : 3 + size, 3 : 3 + size] = 1
            inside = (label[0] * 2 - 1 + 0.5 * torch.randn(24, 24, generator=generator)).sigmoid()
            cases.append({"pred": torch.stack([1 - inside, inside]), "label": label, "patient": f"p{patient}"})
    choice = tune_settings(cases, candidates=[BlurredScore(6.0), BlurredScore(0.5)], objective="safe_stretch")
    by_candidate = {result.candidate: result for result in choice.results}
    assert PlainScore() in by_candidate
    assert set(choice.units) == {f"p{i}" for i in range(6)}
    plain = by_candidate[PlainScore()].small
    assert plain == SmallStructures(0.0, 0.0, 0.0, 0.0)
    widest = by_candidate.get(BlurredScore(6.0))
    assert widest is None or widest.is_harmful
    assert not by_candidate[choice.chosen].is_harmful


def test_counts_of_many_images_do_not_run_over() -> None:
    one = image(9, 0.0, 3, "anna")
    assert one.size.dtype == np.int32
    huge = SetCurves(one.units, one.classes, one.true, one.missed, np.full_like(one.size, 2**31 - 1))
    assert (huge.plus(huge).size == 2 * (2**31 - 1)).all()
    assert (SetCurves.join([huge, image(9, 0.0, 3, "ben")]).pooled({"anna": "p", "ben": "p"}).size >= 2**31 - 1).all()
