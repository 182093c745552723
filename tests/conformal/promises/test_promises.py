"""Every kind of promise against its definition, closed forms and scipy."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from scipy.stats import binom

from monai_rwcp.conformal import Calibration, LossTable, Promise, calibrate, false_negative_rate_table, minimum_n
from monai_rwcp.conformal.promises.bounds import betting_is_below, hoeffding_bentkus_allowance
from monai_rwcp.handlers import ConformalCalibrationHandler


def case(number: int, shape: tuple[int, ...] = (6, 6)) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    score = torch.softmax(torch.randn(2, *shape, generator=generator) + torch.tensor([[[0.0]], [[2.0]]]), dim=0)
    return score, torch.ones(1, *shape)


def table_of(n: int) -> LossTable:
    return LossTable.join(false_negative_rate_table(*case(i), unit=f"{i:03d}", unit_name="patient") for i in range(n))


def p_value(total: float, n: int, alpha: float) -> float:
    """Hoeffding-Bentkus, literally."""
    mean = min(total / n, alpha)
    entropy = (mean * math.log(mean / alpha) if mean else 0.0) + (1 - mean) * math.log((1 - mean) / (1 - alpha))
    return min(math.exp(-n * entropy), math.e * float(binom.cdf(math.ceil(total - 1e-9), n, alpha)))


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25])
@pytest.mark.parametrize("delta", [0.01, 0.1])
@pytest.mark.parametrize("n", [1, 20, 57, 100, 400])
def test_allowance_is_the_last_total_that_hoeffding_bentkus_allows(n: int, alpha: float, delta: float) -> None:
    allowed = float(hoeffding_bentkus_allowance(n, Fraction(str(alpha)), delta))
    if allowed < 0:
        assert p_value(0, n, alpha) > delta
        return
    assert allowed < n * alpha
    assert p_value(allowed, n, alpha) <= delta * (1 + 1e-9)
    for more in (1e-6, 0.3, 1.0, 2.7):
        assert p_value(allowed + more, n, alpha) > delta


def test_betting_is_the_literal_product() -> None:
    random = np.random.default_rng(0)
    answers = []
    for n in (5, 40, 200):
        losses = random.beta(0.3, 4.0, (n, 12)) * np.linspace(0.2, 2.0, 12).clip(max=1)
        for alpha, delta in ((0.1, 0.1), (0.2, 0.05)):
            found = betting_is_below(losses, alpha, delta)
            for column in range(12):
                values, wealth, best = losses[:, column].tolist(), 1.0, 1.0
                for i, value in enumerate(values):
                    # Mean and variance of what came before, with the starting values of the paper.
                    means = [(0.5 + sum(values[: j + 1])) / (j + 2) for j in range(i)]
                    variance = (0.25 + sum((values[j] - means[j]) ** 2 for j in range(i))) / (1 + i)
                    wealth *= 1 - min(1, math.sqrt(2 * math.log(1 / delta) / (n * variance))) * (value - alpha)
                    best = max(best, wealth)
                assert found[column] == (best > 1 / delta)
                answers.append(bool(found[column]))
    assert 10 < sum(answers) < len(answers) - 10


@pytest.mark.parametrize(
    ("alpha", "delta", "expected"),
    [(0.1, 0.1, 22), (0.1, 0.05, 29), (0.05, 0.1, 45), (0.05, 0.05, 59), (0.2, 0.1, 11), (0.01, 0.01, 459)],
)
def test_minimum_n_of_rcps_is_the_closed_form(alpha: float, delta: float, expected: int) -> None:
    assert minimum_n(alpha, "rcps", delta=delta) == expected == math.ceil(math.log(delta) / math.log(1 - alpha))
    assert hoeffding_bentkus_allowance(expected, Fraction(str(alpha)), delta) >= 0
    assert hoeffding_bentkus_allowance(expected - 1, Fraction(str(alpha)), delta) < 0
    betting = minimum_n(alpha, "rcps", delta=delta, bound="betting")
    assert betting_is_below(np.zeros((betting, 1)), alpha, delta)[0]
    assert not betting_is_below(np.zeros((betting - 1, 1)), alpha, delta)[0]


def test_tolerance_counts_units_and_its_minimum_is_that_of_crc() -> None:
    assert minimum_n(0.1, "tolerance", tau=0.9) == minimum_n(0.1) == 9
    # Ten true voxels a unit with scores .05, .15, ...: nine of ten are covered up to the second lowest score.
    scores = (torch.arange(10) / 10 + 0.05).reshape(1, 1, 10)
    tables = [
        false_negative_rate_table(torch.cat([1 - scores, scores]), torch.ones(1, 1, 10), unit=f"{i}") for i in range(19)
    ]
    found = calibrate(LossTable.join(tables), 0.1, "tolerance", tau=0.9)
    # A loss of exactly 1 - tau still covers tau.
    assert found.threshold[1] == pytest.approx(0.15, abs=2e-3)
    assert found.empirical_risk[1] == 0
    assert calibrate(LossTable.join(tables), 0.1, "tolerance", tau=0.91).threshold[1] == pytest.approx(0.05, abs=2e-3)


def test_tolerance_against_sorted_coverage() -> None:
    table = table_of(60)
    found = calibrate(table, 0.2, "tolerance", tau=0.85)
    # The highest threshold that covers .85 of a unit is one of its scores; the quantile of these is the answer.
    best = []
    for i in range(60):
        values = case(i)[0][1].flatten().sort().values
        best.append(float(values[math.floor(0.15 * 36 + 1e-9)]))
    allowed = math.floor(0.2 * 61 - 1 + 1e-9)
    assert found.threshold[1] == pytest.approx(sorted(best)[allowed], rel=5e-3)
    assert found.threshold[1] <= sorted(best)[allowed]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "On average at most 20 % of class 1 is missed in a new patient who shows it (calibrated on 60 patients)."),
        (
            {"method": "rcps", "delta": 0.05},
            "With a probability of at least 95 % over the choice of calibration patients, on average at most 20 % of "
            "class 1 is missed in a new patient who shows it (calibrated on 60 patients).",
        ),
        (
            {"method": "tolerance", "tau": 0.75},
            "In at least 80 % of new patients who show it, at most 25 % of class 1 is missed (calibrated on 60 patients).",
        ),
    ],
)
def test_each_prints_its_own_sentence_and_survives_its_file(options: dict, words: str, tmp_path: Path) -> None:
    calibration = calibrate(table_of(60), 0.2, **options)
    assert calibration.promise.startswith(words)
    assert "not a promise about any single case" in calibration.promise
    assert 0 < calibration.threshold[1] < 1
    calibration.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == calibration


def test_stronger_promises_have_larger_sets() -> None:
    table = table_of(60)
    crc = calibrate(table, 0.2).lambda_hat[1]
    sure = calibrate(table, 0.2, "rcps", delta=0.1).lambda_hat[1]
    surer = calibrate(table, 0.2, "rcps", delta=0.01).lambda_hat[1]
    betting = calibrate(table, 0.2, "rcps", delta=0.1, bound="betting")
    assert crc < sure < surer < 1
    assert crc < betting.lambda_hat[1] < 1
    assert betting.promised.bound == "betting"


def test_betting_looks_at_units_in_one_order_of_their_names_whatever_the_order_of_the_tables() -> None:
    tables = [false_negative_rate_table(*case(i), unit=f"{i:03d}") for i in range(60)]
    options = {"method": "rcps", "delta": 0.1, "bound": "betting"}
    one = calibrate(LossTable.join(tables), 0.2, **options)
    assert calibrate(LossTable.join(tables[::-1]), 0.2, **options).classes == one.classes
    renamed = [
        LossTable.join(false_negative_rate_table(*case(i), unit=f"{(i + moved) % 60:03d}") for i in range(60))
        for moved in range(8)
    ]
    assert len({calibrate(table, 0.2, **options).threshold[1] for table in renamed}) > 1
    losses = np.random.default_rng(1).random((60, 3)) * 0.2
    order = np.random.default_rng(0).permutation(60)
    kept = Promise(0.2, **options).order_is_below(losses)
    assert kept.tolist() == betting_is_below(losses[order], 0.2, 0.1).tolist()


@pytest.mark.parametrize(
    "options",
    [
        {"method": "rcps", "delta": 0.05},
        {"method": "rcps", "delta": 0.05, "bound": "betting"},
        {"method": "tolerance", "tau": 0.9},
    ],
)
def test_too_few_units_give_the_whole_image(options: dict) -> None:
    need = minimum_n(0.1, **options)
    with pytest.warns(UserWarning, match="1 more are needed for alpha = 0.1, .*whole image"):
        few = calibrate(table_of(need - 1), 0.1, **options)
    assert few.lambda_hat == {1: 1.0}
    assert "says nothing" in few.promise


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, "alpha"),
        ({"method": "bayes"}, "method"),
        ({"method": "rcps"}, "`delta`.*None"),
        ({"method": "rcps", "delta": 1.0}, "`delta`.*1.0"),
        ({"method": "tolerance"}, "`tau`"),
        ({"method": "tolerance", "tau": 0}, "`tau`"),
        ({"delta": 0.1}, '`delta` belongs to method="rcps"'),
        ({"method": "rcps", "delta": 0.1, "tau": 0.5}, '`tau` belongs to method="tolerance"'),
        ({"bound": "betting"}, "`bound` belongs"),
        ({"method": "rcps", "delta": 0.1, "bound": "hope"}, "`bound`"),
    ],
)
def test_bad_promises(options: dict, message: str) -> None:
    options = {"alpha": 0.1, **options}
    for make in (Promise, lambda **o: calibrate(table_of(12), **o), ConformalCalibrationHandler):
        with pytest.raises(ValueError, match=message):
            make(**options)


@pytest.mark.parametrize(
    "options", [{"method": "rcps", "delta": 0.1, "bound": "betting"}, {"method": "tolerance", "tau": 0.8}]
)
def test_the_handler_makes_them(options: dict) -> None:
    def step(engine: Engine, number: int) -> list[dict]:
        score, label = case(number)
        return [{"pred": score, "label": label, "patient": f"{number:03d}"}]

    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", **options)
    engine = Engine(step)
    handler.attach(engine)
    engine.run(range(60))
    expected = calibrate(table_of(60), 0.2, **options)
    assert handler.calibration.classes == expected.classes
    assert handler.calibration.promise == expected.promise


@pytest.mark.parametrize(
    ("promise", "words"),
    [
        (Promise(0.1, "rcps", delta=4e-5), "With a probability of at least 99.996 %"),
        (Promise(4e-5, "tolerance", tau=0.9), "In at least 99.996 % of"),
        (Promise(0.123449), "n average at most 12.3449 % of"),
        (Promise(0.1), "n average at most 10 % of"),
        (Promise(0.29, "tolerance", tau=0.999), "In at least 71 % of .*at most 0.1 % of"),
    ],
)
def test_shares_are_printed_with_all_their_digits(promise: Promise, words: str) -> None:
    assert re.search(words, promise.sentence("it", "patient", "in a new patient", "new patients"))
