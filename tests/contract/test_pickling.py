"""Every transform, and a chain of all of them, comes back from a pickle and does the same."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Activationsd, Compose, Transform

import monai_rwcp
from monai_rwcp import (
    Calibration,
    ConformalSandwich,
    ConformalSandwichd,
    ConformalThreshold,
    ConformalThresholdd,
    DenseFeatures,
    DenseFeaturesd,
    ExportedFeatures,
    LossTable,
    MINDFeatures,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusion,
    RandomWalkDiffusiond,
    ShiftWeightd,
    TunedScore,
    TunedScored,
    TunedSettings,
    false_negative_rate_table,
)
from monai_rwcp.conformal import DensityRatio, calibrate, case_loss_table
from monai_rwcp.provenance import ScoreRecord, completed_record, record_of
from monai_rwcp.scores import WalkedScore
from monai_rwcp.transforms import ShiftWeight
from monai_rwcp.walk import WalkSettings


def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2, stride=2), torch.nn.ReLU())


def _extractor() -> NetworkFeatures:
    return NetworkFeatures(_network(), "0")


def _extractors() -> list[Any]:
    return [
        _extractor(),
        MINDFeatures(1, 1),
        NetworkFeatures(_network(), "0", slice_axis=0),
        NetworkFeatures(_network(), "0", window=(4, 4)),
    ]


@pytest.mark.parametrize("number", range(4))
def test_every_source_of_features(number: int) -> None:
    extractor = _extractors()[number]
    again = pickle.loads(pickle.dumps(extractor))
    image = torch.rand(1, 5, 8, 8) if getattr(extractor, "slice_axis", None) is not None else torch.rand(1, 8, 8)
    assert again.name == extractor.name
    assert torch.equal(again(image), extractor(image))


def _item() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": MetaTensor(torch.rand(1, 12, 8, generator=generator)),
        "pred": MetaTensor(torch.softmax(torch.randn(2, 12, 8, generator=generator), dim=0)),
        "features": MetaTensor(torch.randn(4, 6, 4, generator=generator)),
    }


def _calibration(loss: Literal["fnr", "inner"] = "fnr") -> Calibration:
    score = _item()["pred"]
    made = completed_record(score, ScoreRecord())
    tables = [
        case_loss_table(score.as_tensor(), torch.ones(1, 12, 8), loss=loss, unit=str(i), provenance=made)
        for i in range(9)
    ]
    return calibrate(LossTable.join(tables), 0.2)


TUNED = TunedSettings(WalkedScore(WalkSettings(k=4, n_steps=2)), ("anna", "ben"), "patient", 0.1, "stretch", "best")
RATIO = DensityRatio((0.0,) * 4, (1.0,) * 4, (0.5, -0.5, 0.1, 0.0), 0.2)
DICTIONARY: dict[str, Callable[[], Any]] = {
    "NetworkProvenanced": lambda: NetworkProvenanced("pred", _network()),
    "DenseFeaturesd": lambda: DenseFeaturesd("image", _extractor()),
    "RandomWalkDiffusiond": lambda: RandomWalkDiffusiond("pred", k=4, n_steps=2, grid=2, center=True),
    "ConformalThresholdd": lambda: ConformalThresholdd("pred", _calibration()),
    "ShiftWeightd": lambda: ShiftWeightd("features", RATIO),
    "TunedScored": lambda: TunedScored("pred", TUNED),
    "ConformalSandwichd": lambda: ConformalSandwichd("pred", _calibration("inner"), _calibration()),
}
ARRAY: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "DenseFeatures": (lambda: DenseFeatures(_extractor()), ("image",)),
    "RandomWalkDiffusion": (lambda: RandomWalkDiffusion(k=4, n_steps=2), ("pred", "features")),
    "ConformalThreshold": (lambda: ConformalThreshold(_calibration()), ("pred",)),
    "ShiftWeight": (lambda: ShiftWeight(RATIO), ("features",)),
    "TunedScore": (lambda: TunedScore(TUNED), ("pred", "features")),
    "ConformalSandwich": (lambda: ConformalSandwich(_calibration("inner"), _calibration()), ("pred",)),
}
COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
}


def _check_same(one: dict[Any, Any], other: dict[Any, Any]) -> None:
    assert set(one) == set(other)
    for key, value in one.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[key]))
        else:
            assert value == other[key]


def test_no_public_transform_is_forgotten() -> None:
    public = {
        value.__name__
        for name in monai_rwcp.__all__
        if inspect.isclass(value := getattr(monai_rwcp, name))
        if issubclass(value, Transform)
    }
    assert public | {"ShiftWeight"} == {*DICTIONARY, *ARRAY}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", DICTIONARY)
@pytest.mark.parametrize("used", [False, True])
def test_dictionary_transforms(name: str, copied: str, used: bool) -> None:
    transform = DICTIONARY[name]()
    if used:
        transform(_item())
    again = COPIES[copied](transform)
    assert again is not transform
    _check_same(transform(_item()), again(_item()))


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", ARRAY)
def test_array_transforms(name: str, copied: str) -> None:
    make, keys = ARRAY[name]
    transform, item = make(), _item()
    given = [item[key] for key in keys]
    one, other = transform(*given), COPIES[copied](transform)(*given)
    pairs = zip(one, other, strict=True) if isinstance(one, tuple) else [(one, other)]
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs)


@pytest.mark.parametrize("copied", COPIES)
def test_a_chain_of_all_of_them(copied: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    before = Compose([Activationsd("pred", softmax=True), *[DICTIONARY[name]() for name in list(DICTIONARY)[:3]]])
    score = before(_item())["pred"]
    made = completed_record(score, record_of(before(_item()), "pred"))
    tables = [
        false_negative_rate_table(score.as_tensor(), torch.ones(1, 12, 8), unit=str(i), provenance=made)
        for i in range(9)
    ]
    calibrate(LossTable.join(tables), 0.2).save(path)
    chain = Compose([*before.transforms, ConformalThresholdd("pred", path)])
    expected = chain(_item())
    assert 0 < float(expected["pred_set"][1].float().mean()) <= 1
    _check_same(COPIES[copied](chain)(_item()), expected)


def test_a_pickled_exported_extractor_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "encoder.pt2"
    encoder = torch.nn.Conv2d(1, 64, 4, stride=4)
    torch.export.save(torch.export.export(encoder, (torch.rand(1, 1, 16, 16),)), path)
    transform = DenseFeaturesd("image", ExportedFeatures(path))
    expected = transform(_item())
    dumped = pickle.dumps(transform)
    assert len(dumped) < 4000
    _check_same(pickle.loads(dumped)(_item()), expected)


def test_calibrations_and_tables() -> None:
    calibration = _calibration()
    assert pickle.loads(pickle.dumps(calibration)) == calibration
    assert calibrate(pickle.loads(pickle.dumps(LossTable.join([_table(i) for i in range(9)]))), 0.2).n == {1: 9}


def _table(number: int) -> LossTable:
    return false_negative_rate_table(_item()["pred"].as_tensor(), torch.ones(1, 12, 8), unit=str(number))
