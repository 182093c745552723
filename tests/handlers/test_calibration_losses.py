"""The handler with other losses, groups and maps: what it hands over is what the functions make of the same cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_rwcp import Calibration, ConformalCalibrationHandler, ConformalSandwichd, ConformalThresholdd, LossTable
from monai_rwcp.conformal import (
    CustomLoss,
    InstanceFalseNegativeRate,
    SurfaceFalseNegativeRate,
    calibrate,
    case_loss_table,
)
from monai_rwcp.provenance import ScoreRecord, completed_record

SPACING = (0.7, 2.0)


def _case(seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    label = (torch.rand(1, 8, 9, generator=generator) < 0.4).long()
    logit = 3 * label[0] - 1 + torch.randn(8, 9, generator=generator)
    score = torch.stack([torch.sigmoid(-logit), torch.sigmoid(logit)])
    affine = torch.diag(torch.tensor([*SPACING, 1.0, 1.0]))
    return {
        "pred": MetaTensor(score, affine=affine),
        "label": MetaTensor(label, affine=affine),
        "patient": f"{seed:03d}",
        "scanner": "old" if seed % 3 else "new",
        "importance": torch.rand(1, 8, 9, generator=generator) + 0.1,
    }


def any_missed(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((truth & ~found).sum() > 3)


def _run(*handlers: ConformalCalibrationHandler, n: int = 60) -> None:
    engine = Engine(lambda engine, seed: [_case(seed)])
    for handler in handlers:
        handler.attach(engine)
    engine.run(range(n))


def _table(loss: Any, n: int = 60, **keys: str) -> LossTable:
    tables = []
    for case in map(_case, range(n)):
        options: dict[str, Any] = {name: case[key] for name, key in keys.items()}
        if isinstance(loss, SurfaceFalseNegativeRate):
            options["spacing"] = SPACING
        tables.append(
            case_loss_table(
                case["pred"].as_tensor(),
                case["label"].as_tensor(),
                loss=loss,
                unit=case["patient"],
                unit_name="patient",
                provenance=completed_record(case["pred"], ScoreRecord()),
                **options,
            )
        )
    return LossTable.join(tables)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("inner", {}),
        ("instance_fnr", {"method": "rcps", "delta": 0.1}),
        (InstanceFalseNegativeRate(0.8), {}),
        (SurfaceFalseNegativeRate(1.0), {"method": "tolerance", "tau": 0.7}),
        (CustomLoss("more than three", any_missed), {}),
        ("false_discovery", {"method": "ltt", "delta": 0.1}),
    ],
)
def test_the_handler_counts_what_the_function_counts(loss: Any, options: dict[str, Any]) -> None:
    handler = ConformalCalibrationHandler(alpha=0.3, loss=loss, unit_key="patient", **options)
    _run(handler)
    expected = calibrate(_table(loss), 0.3, **options)
    assert handler.calibration.classes == expected.classes
    assert handler.calibration.promise == expected.promise
    assert 0 < handler.calibration.threshold[1] < 1


def test_weights_and_groups_are_read_from_the_items(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    handler = ConformalCalibrationHandler(
        alpha=0.2,
        loss="weighted_fnr",
        unit_key="patient",
        group_key="scanner",
        weight_key="importance",
        output_path=path,
    )
    _run(handler)
    expected = calibrate(_table("weighted_fnr", group="scanner", weight="importance"), 0.2, by_group=True)
    assert handler.calibration.groups == expected.groups
    assert expected.thresholds_for("old") != expected.thresholds_for("new")
    threshold = ConformalThresholdd("pred", path, group_key="scanner")
    for seed in (0, 1):
        case = _case(seed)
        found = threshold(case)["pred_set"][1]
        level = expected.thresholds_for(case["scanner"])[1]
        assert torch.equal(torch.as_tensor(found == 1), torch.as_tensor(case["pred"][1].double() >= level))
    with pytest.raises(KeyError, match="group of the item under 'machine'"):
        ConformalThresholdd("pred", path, group_key="machine")(_case(0))
    with pytest.raises(ValueError, match="Key 'pred': Expected one of the calibrated groups"):
        ConformalThresholdd("pred", path)(_case(0))
    with pytest.raises(ValueError, match="not seen at calibration"):
        ConformalThresholdd("pred", path, group_key="scanner")({**_case(0), "scanner": "third"})


def test_one_run_calibrates_a_sandwich(tmp_path: Path) -> None:
    inner = ConformalCalibrationHandler(
        alpha=0.05, loss="inner", unit_key="patient", output_path=tmp_path / "inner.json"
    )
    outer = ConformalCalibrationHandler(alpha=0.1, unit_key="patient", output_path=tmp_path / "outer.json")
    _run(inner, outer)
    assert Calibration.load(tmp_path / "inner.json") == inner.calibration
    item = ConformalSandwichd("pred", tmp_path / "inner.json", tmp_path / "outer.json")(_case(99))
    assert isinstance(item["pred_inner"], MetaTensor)
    assert torch.equal(item["pred_inner"].affine, item["pred"].affine)
    sizes = [int(item[f"pred_{name}"][1].sum()) for name in ("inner", "outer")]
    assert 0 < sizes[0] < sizes[1] < 72


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "false_discovery"}, 'use method="ltt"'),
        ({"loss": "surface_fnr"}, "SurfaceFalseNegativeRate"),
        ({"loss": "inner", "empty": "zero"}, 'empty="exclude"'),
        ({"method": "ltt", "delta": 0.1}, 'method="rcps"'),
    ],
)
def test_losses_that_cannot_be_promised_are_told_before_the_run(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConformalCalibrationHandler(**options)


def test_missing_maps_are_told() -> None:
    with pytest.raises(ValueError, match="needs a weight map"):
        _run(ConformalCalibrationHandler(alpha=0.2, loss="weighted_fnr"))
    with pytest.raises(KeyError, match="Expected 'importances' in every item"):
        _run(ConformalCalibrationHandler(alpha=0.2, loss="weighted_fnr", weight_key="importances"))
    handler = ConformalCalibrationHandler(alpha=0.2, loss=SurfaceFalseNegativeRate(1.0))
    bare = Engine(lambda engine, seed: [{k: _case(seed)[k].as_tensor() for k in ("pred", "label")}])
    handler.attach(bare)
    with pytest.raises(ValueError, match="needs 2 voxel sizes above 0, but got None. Load images as MetaTensor"):
        bare.run([0])
