"""lambda_hat against an independent exact computation, and known answers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_rwcp import ConformalCalibrationHandler
from monai_rwcp.conformal import (
    Calibration,
    LossTable,
    calibrate,
    false_negative_rate_table,
    minimum_n,
    threshold_levels,
)


def exact_threshold(cases: list[list[float]], alpha: Fraction) -> float:
    """Weighted quantile: the largest t with sum_i share of case i's true scores below t <= alpha (n + 1) - 1."""
    weight: dict[float, Fraction] = {}
    for scores in cases:
        for s in scores:
            weight[s] = weight.get(s, Fraction(0)) + Fraction(1, len(scores))
    bound = alpha * (len(cases) + 1) - 1
    if bound < 0:
        return 0.0
    below = Fraction(0)
    for s in sorted(weight):
        # Up to t = s the mass strictly below t is `below`; beyond s it gains s's own weight.
        if below + weight[s] > bound:
            return s
        below += weight[s]
    return 1.0


def table_of(cases: list[list[float]]) -> LossTable:
    parts = []
    for i, scores in enumerate(cases):
        score = torch.tensor([scores, scores], dtype=torch.float64).reshape(2, 1, -1)
        label = torch.ones(1, 1, len(scores))
        parts.append(false_negative_rate_table(score, label, unit=str(i)))
    return LossTable.join(parts)


def draw(kind: str, seed: int) -> list[list[float]]:
    random = np.random.default_rng(seed)
    n = int(random.integers(4, 60))
    cases = []
    for _ in range(n):
        size = int(random.integers(1, 40))
        logits = random.normal(random.normal(0, 3), random.uniform(0.5, 6), size)
        values = 1 / (1 + np.exp(-logits))
        if kind == "tied":
            values = np.round(values, 1)
        if kind == "saturated":
            values = torch.sigmoid(torch.tensor(8 * logits, dtype=torch.float32)).double().numpy()
        if kind == "on levels":
            values = threshold_levels()[random.integers(0, len(threshold_levels()), size)].astype(float)
        cases.append(values.tolist())
    return cases


@pytest.mark.parametrize("kind", ["continuous", "tied", "saturated", "on levels"])
def test_threshold_is_the_exact_one_rounded_down_to_the_grid(kind: str) -> None:
    levels = threshold_levels().astype(float)
    for seed in range(100):
        cases = draw(kind, seed)
        alpha = ("0.05", "0.1", "0.2", "0.3")[seed % 4]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = calibrate(table_of(cases), float(alpha)).threshold[1]
        exact = exact_threshold(cases, Fraction(alpha))
        assert found <= exact
        position = int(np.flatnonzero(levels == found)[0])
        assert position == len(levels) - 1 or levels[position + 1] > exact


def test_known_answer() -> None:
    # 19 cases at 0.9 and one half missed from 0.3 on: at alpha = 0.1 the sum may be 0.1 * 21 - 1 = 1.1.
    cases = [[0.9, 0.9]] * 17 + [[0.3, 0.9], [0.5, 0.9], [0.2, 0.2]]
    # Above 0.2 the sum is 1, above 0.3 it is 1.5: the threshold is 0.3, rounded down to the grid.
    found = calibrate(table_of(cases), 0.1)
    levels = threshold_levels().astype(float)
    assert found.threshold[1] == levels[levels <= 0.3].max()
    assert found.empirical_risk[1] == pytest.approx(1 / 20)
    assert found.classes[1].working_level == pytest.approx(1.1 / 20)
    assert found.lambda_hat[1] == 1 - found.threshold[1]


@pytest.mark.parametrize("alpha", [0.5, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.02, 0.01])
def test_minimum_n_is_the_closed_form(alpha: float) -> None:
    exact = Fraction(str(alpha))
    n = minimum_n(alpha)
    assert exact * (n + 1) >= 1
    assert exact * n < 1 or n == 1


@pytest.mark.parametrize(("alpha", "n"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.3, 3)])
def test_the_smallest_number_of_units_suffices_and_one_less_does_not(alpha: float, n: int) -> None:
    cases = [[0.6, 0.8]] * n
    assert calibrate(table_of(cases), alpha).threshold[1] == pytest.approx(0.6, abs=2e-3)
    with pytest.warns(UserWarning, match=f"Only {n - 1} calibration units count for class 1: 1 more are needed"):
        few = calibrate(table_of(cases[:-1]), alpha)
    assert few.threshold == {1: 0.0}
    assert few.lambda_hat == {1: 1.0}
    assert "says nothing" in few.promise


def test_empty_truth() -> None:
    parts = [
        false_negative_rate_table(torch.full((2, 1, 4), 0.5), torch.full((1, 1, 4), float(i % 2)), unit=str(i))
        for i in range(20)
    ]
    table = LossTable.join(parts)
    assert calibrate(table, 0.2).n == {1: 10}
    zero = calibrate(table, 0.2, empty="zero")
    assert zero.n == {1: 20}
    assert "counts as nothing missed" in zero.promise
    with pytest.warns(UserWarning, match="Only 0 calibration units"):
        nobody = calibrate(LossTable.join(parts[::2]), 0.2)
    assert nobody.threshold == {1: 0.0}


def test_mean_over_images_differs_from_pooling_as_it_should() -> None:
    # Each patient: a large slice at 0.9 and a tiny one at 0.2.
    parts = []
    for i in range(20):
        for name, size, value in (("large", 90, 0.9), ("tiny", 10, 0.2)):
            score = torch.full((2, 1, size), value, dtype=torch.float64)
            parts.append(
                false_negative_rate_table(
                    score, torch.ones(1, 1, size), unit=str(i), image=f"{i} {name}", unit_name="patient"
                )
            )
    table = LossTable.join(parts)
    # Above 0.2 pooled losses are 0.1 each (sum 2 <= 0.15 * 21 - 1 = 2.15), mean losses 0.5 each.
    assert calibrate(table, 0.15).threshold[1] > 0.85
    mean = calibrate(table, 0.15, unit_loss="mean")
    assert mean.threshold[1] == pytest.approx(0.2, abs=2e-3)
    assert "mean over the patient's images" in mean.promise


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, float("nan"), "0.1", True])
def test_alpha_outside(alpha: object) -> None:
    with pytest.raises(ValueError, match="alpha"):
        calibrate(table_of([[0.5]]), alpha)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "rcps"}, "method"),
        ({"unit_loss": "max"}, "unit_loss"),
        ({"empty": "drop"}, "empty"),
        ({"class_names": ["a"]}, "2 channels"),
    ],
)
def test_unknown_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate(table_of([[0.5]]), 0.5, **options)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["background", "left", "left"], r"'left' is that of channels 1 and 2"),
        (["background", "left", " left "], r"'left' is that of channels 1 and 2"),
        (["", "left", "right"], "that of channel 0 is empty"),
        (["organ"] * 3, r"'organ' is that of channels 0 and 1 and 2"),
    ],
)
def test_classes_of_one_name_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    score = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    label = torch.arange(16).reshape(1, 4, 4) % 3
    table = LossTable.join(false_negative_rate_table(score, label, unit=str(i)) for i in range(12))
    with pytest.raises(ValueError, match=message):
        calibrate(table, 0.2, class_names=names)
    with pytest.raises(ValueError, match=message):
        ConformalCalibrationHandler(alpha=0.2, class_names=names)
    made = calibrate(table, 0.2, class_names=["background", "left", "right"])
    replace(made, class_names=tuple(names)).save(tmp_path / "c.json")
    with pytest.raises(ValueError, match=message):
        Calibration.load(tmp_path / "c.json")
    for differ in (["background", "left", "Left"], ["rest", "left", "right"]):
        assert calibrate(table, 0.2, class_names=differ).class_name(2) == differ[2]
