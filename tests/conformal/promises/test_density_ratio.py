"""Weights from a density ratio: against the closed form of two normal populations, in files, and through the chain."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine

from monai_rwcp import ConformalCalibrationHandler, ConformalThresholdd, LossTable, ShiftWeightd
from monai_rwcp.conformal import DensityRatio, calibrate, case_loss_table, fit_density_ratio
from monai_rwcp.transforms import ShiftWeight

RATIO = DensityRatio(means=(1.0, 2.0), scales=(2.0, 0.5), coefficients=(0.4, -0.3), intercept=0.1)


def test_a_weight_is_the_formula() -> None:
    assert RATIO.weight([3.0, 1.0]) == pytest.approx(math.exp(0.1 + 0.4 * (3 - 1) / 2 - 0.3 * (1 - 2) / 0.5))
    # At the mean of two images the weight is the geometric mean of theirs.
    one, other = np.array([0.3, 1.1]), np.array([2.0, -1.0])
    expected = math.sqrt(RATIO.weight(one) * RATIO.weight(other))
    assert RATIO.weight((one + other) / 2) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "m"), [(4000, 4000), (3000, 6000)])
def test_two_normal_populations(n: int, m: int) -> None:
    """N(0, 1) and N(1, 1) beside noise: the ratio is exp(x - 1/2), whatever the numbers of cases."""
    random = np.random.default_rng(0)
    source, target = random.normal(0, 1, (n, 3)), random.normal(0, 1, (m, 3))
    target[:, 0] += 1
    ratio = fit_density_ratio(source * [1, 100, 1], target * [1, 100, 1])
    for x in (-1.0, 0.0, 0.5, 1.5):
        assert ratio.weight([x, 0.0, 0.0]) == pytest.approx(math.exp(x - 0.5), rel=0.15)
    # A density ratio averages to 1 over the source.
    assert np.mean([ratio.weight(x * [1, 100, 1]) for x in source]) == pytest.approx(1, abs=0.05)


def test_many_useless_features_are_shrunk() -> None:
    random = np.random.default_rng(1)
    ratio = fit_density_ratio(random.normal(size=(60, 200)), random.normal(size=(60, 200)))
    weights = np.array([ratio.weight(x) for x in random.normal(size=(200, 200))])
    assert weights.sum() ** 2 / (weights**2).sum() > 150  # of 200: nearly all weigh the same


def test_constant_features_do_no_harm() -> None:
    random = np.random.default_rng(2)
    source, target = random.normal(0, 1, (50, 2)), random.normal(1, 1, (50, 2))
    source[:, 1] = target[:, 1] = 5
    assert math.isfinite(fit_density_ratio(source, target).weight([0.0, 5.0]))


def test_files(tmp_path: Path) -> None:
    RATIO.save(tmp_path / "ratio.json")
    assert DensityRatio.load(tmp_path / "ratio.json") == RATIO
    document = json.loads((tmp_path / "ratio.json").read_text())
    (tmp_path / "edited.json").write_text(json.dumps({**document, "intercept": 3.0}))
    with pytest.raises(ValueError, match="changed after it was written"):
        DensityRatio.load(tmp_path / "edited.json")
    with pytest.raises(FileNotFoundError, match="no density ratio at"):
        DensityRatio.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DensityRatio((0.0,), (0.0,), (1.0,), 0.0), "scales above 0"),
        (lambda: DensityRatio((0.0,), (1.0, 1.0), (1.0,), 0.0), "but got 1, 2 and 1"),
        (lambda: DensityRatio((0.0,), (1.0,), (math.nan,), 0.0), "finite"),
        (lambda: RATIO.weight([1.0]), "Expected 2 finite features"),
        (lambda: RATIO.weight([1.0, math.inf]), "NaN or infinite"),
        (lambda: fit_density_ratio(np.zeros((20, 2)), np.zeros((20, 3))), "same features"),
        (lambda: fit_density_ratio(np.zeros((9, 2)), np.zeros((20, 2))), "at least 10 cases"),
        (lambda: fit_density_ratio(np.full((20, 2), math.nan), np.zeros((20, 2))), "finite features"),
    ],
)
def test_bad_numbers(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_transforms_weigh_the_mean_feature(tmp_path: Path) -> None:
    features = torch.randn(2, 3, 4)
    expected = RATIO.weight(features.double().mean(dim=(1, 2)).numpy())
    assert ShiftWeight(RATIO)(features) == pytest.approx(expected)
    assert ShiftWeight(RATIO)(features.numpy()) == pytest.approx(expected)
    chain = ShiftWeightd("features", tmp_path / "ratio.json")
    with pytest.raises(FileNotFoundError, match="density ratio"):
        chain({"features": features})
    RATIO.save(tmp_path / "ratio.json")
    found = chain({"features": features})
    assert found["weight"] == pytest.approx(expected)
    assert found["features"] is features
    with pytest.raises(ValueError, match="Key 'features': Expected 2 finite features"):
        chain({"features": torch.randn(3, 4, 4)})
    with pytest.raises(TypeError, match="DensityRatio or a path"):
        ShiftWeight(3)  # type: ignore[arg-type]
    assert ShiftWeightd(["features", "other"], RATIO, ["a", "b"], allow_missing_keys=True)({}) == {}


def case(seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    score = torch.sigmoid(torch.randn(1, 6, 6, generator=generator) + 1)
    return {
        "pred": torch.cat([1 - score, score]),
        "label": torch.ones(1, 6, 6),
        "patient": f"{seed // 2:03d}",
        "case": f"{seed:03d}",
        # Both images of a patient have the patient's weight.
        "weight": 0.5 + seed // 2 % 7 / 7,
    }


def test_the_handler_collects_weights_and_sets_need_them(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    handler = ConformalCalibrationHandler(
        alpha=0.2, unit_key="patient", case_key="case", shift_weight_key="weight", output_path=path
    )
    engine = Engine(lambda engine, seed: [case(seed)])
    handler.attach(engine)
    engine.run(range(80))
    weights = {f"{i:03d}": case(2 * i)["weight"] for i in range(40)}
    assert handler.table.shift_weights == pytest.approx(weights)
    plain = LossTable.join(
        case_loss_table(c["pred"], c["label"], loss="fnr", unit=c["patient"], image=c["case"], unit_name="patient")
        for c in map(case, range(80))
    )
    expected = calibrate(plain, 0.2, weights=weights).thresholds_for(weight=1.3)[1]
    assert handler.calibration.thresholds_for(weight=1.3)[1] == expected
    found = ConformalThresholdd("pred", path, weight_key="weight")({**case(99), "weight": 1.3})["pred_set"][1]
    assert torch.equal(found == 1, case(99)["pred"][1].double() >= expected)
    with pytest.raises(ValueError, match="needs its own weight"):
        ConformalThresholdd("pred", path)(case(99))
    # The weights stay with the counts.
    handler.table.save(tmp_path / "table.json")
    assert LossTable.load(tmp_path / "table.json").shift_weights == handler.table.shift_weights
    with pytest.raises(ValueError, match="weight for every image, but '000' has none"):
        _ = plain.shift_weights


def test_images_of_a_patient_cannot_be_weighed_each_by_itself() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case", shift_weight_key="weight")
    engine = Engine(lambda engine, seed: [{**case(seed), "weight": 1.0 + seed}])
    handler.attach(engine)
    with pytest.raises(
        ValueError, match=r"one weight a unit, but images of patient '000' have 1 and 2\..*mean features"
    ):
        engine.run(range(80))


def test_without_units_and_weight_nothing_is_claimed() -> None:
    parts = [
        case_loss_table(torch.rand(3, 4, 4), torch.ones(1, 4, 4), loss="fnr", unit=str(i), shift_weight=1.0)
        for i in range(30)
    ]
    table = LossTable.join(parts)
    found = calibrate(table, 0.2, weights=table.shift_weights)
    for weight in (0.0, 1e-9, 1.0):
        assert found.thresholds_for(weight=weight)[2] == 0
    assert "class 2 is missed" in found.promise.splitlines()[1]
    assert "with none every set is the safest one, so this says nothing" in found.promise.splitlines()[1]
    assert "says nothing" not in found.promise.splitlines()[0]


def test_an_image_with_two_weights_is_refused() -> None:
    tables = [
        case_loss_table(case(1)["pred"], case(1)["label"], loss="fnr", unit="a", shift_weight=w) for w in (1.0, 2.0)
    ]
    with pytest.raises(ValueError, match="stands for two different images"):
        LossTable.join(tables)
    with pytest.raises(ValueError, match="finite number from 0 on"):
        case_loss_table(case(1)["pred"], case(1)["label"], loss="fnr", unit="a", shift_weight=-1.0)
