"""The record that is read from a chain is the one that its run writes, wherever it claims to know."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from monai_rwcp import Calibration, ConformalCalibrationHandler, TunedSettings
from monai_rwcp.deployment import NOT_KNOWN, compared_record
from monai_rwcp.deployment.bundle import load_parts, read_bundle
from monai_rwcp.deployment.chain import chain_findings, checked_threshold
from monai_rwcp.deployment.observed import observed_score, one_image
from monai_rwcp.deployment.planned import planned_record
from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore
from monai_rwcp.walk import WalkSettings

Change = Callable[[dict[str, Any]], Any]


def chain(config: dict[str, Any]) -> list[dict[str, Any]]:
    transforms: list[dict[str, Any]] = config["postprocessing"]["transforms"]
    return transforms


def settings(folder: Path, name: str) -> Path:
    walk = WalkedScore(WalkSettings(k=5, n_steps=2, grid=4))
    candidate = {"walk": walk, "blur": BlurredScore(1.0), "plain": PlainScore()}[name]
    TunedSettings(candidate, ("anna", "ben"), "patient", 0.1, "stretch", "it was best").save(folder / f"{name}.json")
    return folder / f"{name}.json"


def moved(config: dict[str, Any], number: int, place: int) -> None:
    chain(config).insert(place, chain(config).pop(number))


def another_orientation(config: dict[str, Any]) -> None:
    config["preprocessing"]["transforms"].append({"_target_": "Rotate90d", "keys": "image", "spatial_axes": [0, 2]})


def forward_features(config: dict[str, Any]) -> None:
    chain(config).pop(2)
    config["inferer"]["roi_size"] = [16, 16, 8]
    config["evaluator"]["val_handlers"].append({"_target_": "monai_rwcp.ForwardFeaturesHandler", "layers": "0"})


def second_chain(config: dict[str, Any]) -> None:
    rest = [chain(config).pop() for _ in range(3)][::-1]
    config["evaluator"]["val_handlers"].append(
        {"_target_": "PostProcessing", "transform": {"_target_": "Compose", "transforms": rest}}
    )


def another_key(config: dict[str, Any]) -> None:
    chain(config)[3]["output_keys"] = "walked"
    chain(config)[4]["keys"] = chain(config)[5]["keys"] = "walked"


@pytest.mark.parametrize(
    ("change", "key", "unknown"),
    [
        (lambda c: None, "pred", {"dtype"}),
        (another_key, "walked", {"dtype"}),
        (second_chain, "pred", {"dtype"}),
        (lambda c: chain(c).insert(4, copy.deepcopy(chain(c)[3])), "pred", {"dtype"}),
        (lambda c: chain(c).pop(1), "pred", {"dtype"}),
        (lambda c: chain(c).pop(4), "pred", {"dtype"}),
        (lambda c: c["preprocessing"]["transforms"].pop(), "pred", {"dtype", "spacing", "walk.side"}),
        (another_orientation, "pred", {"dtype", "spacing"}),
        (forward_features, "pred", {"dtype", "walk.features"}),
        (lambda c: (chain(c).pop(3), moved(c, 1, 3)), "pred", {"dtype", "spacing"}),
        ("walk", "pred", {"dtype"}),
        ("blur", "pred", {"dtype"}),
        ("plain", "pred", {"dtype"}),
    ],
)  # fmt: skip
def test_a_planned_record_is_the_written_one(
    bundle: Path, changed: Callable[..., Path], tmp_path: Path, change: Change | str, key: str, unknown: set[str]
) -> None:
    if isinstance(change, str):
        tuned = {"_target_": "monai_rwcp.TunedScored", "keys": "pred", "settings": str(settings(tmp_path, change))}
        root = changed(lambda config: chain(config).__setitem__(3, tuned))
    else:
        root = changed(change)
    parser = read_bundle([root / "configs" / "inference.json"], {}, root)
    assert one_image(parser, None) is None
    parts, calibration = load_parts(parser), Calibration.load(bundle / "models" / "calibration.json")
    threshold = checked_threshold(parts, calibration)
    assert threshold is not None
    parts = replace(parts, postprocessing=parts.postprocessing[: threshold.index])
    _, written = observed_score(parser, parts, key)
    planned = planned_record(parts, key, 3)
    found = compared_record(replace(calibration, provenance=written), planned)
    assert {f.field for f in found if f.status == "differs"} == set()
    assert {f.field for f in found if f.status == "not known"} - {"network", "inferer", "flips"} == unknown
    assert _leaves(planned.to_json()) > 3


def _leaves(values: Any) -> int:
    if isinstance(values, (Mapping, list)):
        return sum(_leaves(part) for part in (values.values() if isinstance(values, Mapping) else values))
    return int(values is not NOT_KNOWN)


def test_one_of_several_thresholds_has_to_use_the_calibration(bundle: Path, changed: Callable[..., Path]) -> None:
    path = bundle / "models" / "calibration.json"
    calibration = Calibration.load(path)

    def both(config: dict[str, Any]) -> None:
        chain(config).insert(0, {"_target_": "CopyItemsd", "keys": "pred", "names": "raw"})
        chain(config).insert(6, {**chain(config)[6], "keys": "raw", "calibration": "absent.json"})
        sandwich = {"_target_": "monai_rwcp.ConformalSandwichd", "keys": "pred", "outer": str(path), "inner": "inner.json"}  # fmt: skip
        chain(config)[7] = sandwich

    root = changed(both)
    parts = load_parts(read_bundle([root / "configs" / "inference.json"], {}, root))
    threshold = checked_threshold(parts, calibration)
    assert threshold is not None
    assert (threshold.key, threshold.index) == ("pred", 7)
    assert {f.status for f in chain_findings(calibration, parts)} == {"agrees"}


@pytest.mark.parametrize("options", [{"group_key": "group"}, {"shift_weight_key": "weight"}])
def test_groups_and_weights_that_the_calibration_asks_for(
    changed: Callable[..., Path], tmp_path: Path, options: dict[str, str]
) -> None:
    cases = [
        {"pred": torch.rand(2, 4, 4), "label": torch.ones(1, 4, 4), "patient": f"p{i}", "group": "g", "weight": 1.0}
        for i in range(9)
    ]
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", **options)  # type: ignore[arg-type]
    engine = Engine(lambda engine, batch: [batch])
    handler.attach(engine)
    engine.run(cases)
    handler.calibration.save(tmp_path / "other.json")
    field = "threshold.group_key" if "group_key" in options else "threshold.weight_key"

    def found(**given: str) -> dict[str, str]:
        parser = read_bundle([root / "configs" / "inference.json"], {}, root)
        parser["postprocessing::transforms::5"] |= {"calibration": str(tmp_path / "other.json"), **given}
        parts = load_parts(parser)
        return {f.field: f.status for f in chain_findings(handler.calibration, parts)}

    root = changed()
    assert found()[field] == "differs"
    assert field not in found(**{field.removeprefix("threshold."): "any"})
