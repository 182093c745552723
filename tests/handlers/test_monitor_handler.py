"""Summaries of calibration cases and the monitor in MONAI's evaluator, over several runs."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, AsDiscreted, Compose

from monai_rwcp import (
    Calibration,
    CaseSummaryHandler,
    ConformalCalibrationHandler,
    ExchangeabilityMonitorHandler,
    NetworkProvenanced,
)
from monai_rwcp.monitoring import CaseSummaries, ExchangeabilityMonitor, case_summary
from tests.helpers.networks import ClassDistance

KEYS: dict[str, Any] = {"unit_key": "patient", "case_key": "case", "image_key": "image"}


def cases(first: int, last: int, *, noise: float = 1.0, slices: int = 2) -> list[dict[str, Any]]:
    items = []
    for i in range(first, last):
        generator = torch.Generator().manual_seed(i)
        for s in range(slices):
            label = torch.randint(0, 3, (1, 8, 8), generator=generator).float()
            image = label + noise * torch.randn(1, 8, 8, generator=generator)
            items.append({"image": image, "label": label, "patient": f"patient {i}", "case": f"{i}-{s}"})
    return items


def run(
    data: list[dict[str, Any]], handlers: list[Any], chain: Any = None, network: ClassDistance | None = None
) -> Engine:
    network = network or ClassDistance()
    if chain is None:
        chain = Compose([Activationsd("pred", softmax=True), NetworkProvenanced("pred", network)])
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=3),
        network=network,
        postprocessing=chain,
        val_handlers=handlers,
    )
    evaluator.run()
    return evaluator


@pytest.fixture
def calibrated(tmp_path: Path) -> dict[str, Any]:
    """The files of a calibration run on 40 patients, as arguments of the monitor."""
    reference, calibration = tmp_path / "reference.json", tmp_path / "calibration.json"
    run(
        cases(0, 40),
        [
            CaseSummaryHandler(output_path=reference, **KEYS),
            ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case", output_path=calibration),
        ],
    )
    return {"reference": reference, "calibration": calibration, "label_key": "label", "tolerated": 0.3, **KEYS}


def only_summaries(calibrated: dict[str, Any]) -> dict[str, Any]:
    return {name: calibrated[name] for name in ("reference", *KEYS)}


def test_summaries_are_those_of_each_case() -> None:
    data, handler = cases(0, 4), CaseSummaryHandler(thresholds=(0.3, 0.7), **KEYS)
    with pytest.raises(RuntimeError, match="no summaries yet"):
        _ = handler.summaries
    run(data + data[:3], [handler])
    assert list(handler.summaries.images) == [item["case"] for item in data]
    for item in data:
        score = torch.softmax(ClassDistance()(item["image"][None])[0].detach(), 0)
        expected = case_summary(score, item["image"], thresholds=(0.3, 0.7))
        found = handler.summaries.images[item["case"]]
        assert found.unit == item["patient"]
        assert dict(found.values) == pytest.approx(expected)
    assert handler.summaries.unit_name == "patient"
    assert handler.summaries.provenance.network
    run(data[:2], [handler])
    assert len(handler.summaries.images) == 2


def test_quiet_then_loud_over_several_runs(calibrated: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    options = {"output_path": path, **only_summaries(calibrated)}
    for first in (40, 50, 60):
        handler = ExchangeabilityMonitorHandler(**options)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            engine = run(cases(first, first + 10), [handler])
        document = json.loads(path.read_text())
        assert document["verdict"] == "no evidence of change"
        assert document["n_cases"] == first - 30
        assert engine.state.metrics["pred_change_martingale"] == document["martingale"] == handler.monitor.martingale
    # Cases that were judged before count once.
    run(cases(45, 55), [ExchangeabilityMonitorHandler(**options)])
    assert json.loads(path.read_text())["n_cases"] == 30
    handler = ExchangeabilityMonitorHandler(**options)
    with pytest.warns(UserWarning, match="no longer look like the 40 patients of the calibration"):
        run(cases(70, 95, noise=2.0), [handler])
    document = json.loads(path.read_text())
    assert document["verdict"] == "the cases have changed"
    assert 30 < document["alarm"]["after"] <= 55
    assert [c["case"] for c in document["cases"]][-1] == "patient 94"


def test_one_handler_over_many_runs_without_a_file(calibrated: dict[str, Any]) -> None:
    summaries = CaseSummaries.load(calibrated["reference"])
    handler = ExchangeabilityMonitorHandler(summaries, **KEYS)
    with pytest.raises(RuntimeError, match="no verdict yet"):
        _ = handler.monitor
    run(cases(40, 44), [handler])
    assert handler.monitor.verdict == "too few cases"
    run(cases(44, 60), [handler])
    assert list(handler.monitor.cases) == [f"patient {i}" for i in range(40, 60)]
    units = CaseSummaryHandler(**KEYS)
    run(cases(40, 60), [units])
    assert {name: dict(c.summaries) for name, c in handler.monitor.cases.items()} == units.summaries.units


def test_calibration_cases_are_left_out(calibrated: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    run(cases(38, 43), [ExchangeabilityMonitorHandler(output_path=path, **only_summaries(calibrated))])
    document = json.loads(path.read_text())
    assert document["left_out"] == ["patient 38", "patient 39"]
    assert document["n_cases"] == 3


def test_late_labels(calibrated: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    options = {"output_path": path, **calibrated}
    unlabelled = [{name: value for name, value in item.items() if name != "label"} for item in cases(40, 52)]
    first = ExchangeabilityMonitorHandler(**options)
    run(unlabelled, [first])
    document = json.loads(path.read_text())
    assert document["n_cases"] == 12
    assert document["realised_loss"]["class 1"]["n"] == 0
    assert document["realised_loss"]["class 1"]["mean"] is None
    late = ExchangeabilityMonitorHandler(**options)
    run(cases(40, 52), [late])
    document = json.loads(path.read_text())
    assert document["n_cases"] == 12
    calibration = Calibration.load(calibrated["calibration"])
    for c in (1, 2):
        losses = []
        for i in range(40, 52):
            missed = true = 0
            for item in cases(i, i + 1):
                score = torch.softmax(ClassDistance()(item["image"][None])[0].detach(), 0)
                missed += int(((item["label"][0] == c) & (score[c] < calibration.threshold[c])).sum())
                true += int((item["label"] == c).sum())
            losses.append(missed / true)
        assert late.monitor.loss_monitors[f"class {c}"].losses == pytest.approx(losses)
    assert document["realised_loss"]["class 1"]["above_tolerated_after"] is None


def monitor_in(path: Path, calibrated: dict[str, Any]) -> ExchangeabilityMonitor:
    return ExchangeabilityMonitor.load(
        path, CaseSummaries.load(calibrated["reference"]), tolerated={"class 1": 0.3, "class 2": 0.3}
    )


def test_losses_from_elsewhere(calibrated: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    del calibrated["label_key"]
    handler = ExchangeabilityMonitorHandler(output_path=path, **calibrated)
    for i in range(5):
        handler.observe_loss(f"patient {100 + i}", {1: 0.3, 2: 0.1})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(5, 25):
            ExchangeabilityMonitorHandler(output_path=path, **calibrated).observe_loss(f"patient {100 + i}", {1: 0.9})
    alarm = monitor_in(path, calibrated).loss_alarms["class 1"]
    assert len(caught) == 25 - alarm + 1
    assert f"class 1: after {alarm} labelled patients the mean loss is above 0.3" in str(caught[-1].message)
    document = json.loads(path.read_text())
    assert document["realised_loss"]["class 1"]["n"] == 25
    assert document["realised_loss"]["class 2"]["n"] == 5
    assert document["realised_loss"]["class 1"]["lower_bound"] > 0.3
    with pytest.raises(ValueError, match="losses of calibrated classes, got one of class 7"):
        handler.observe_loss("patient 1", {7: 0.1})
    with pytest.raises(ValueError, match="Give the handler `calibration` and `tolerated`"):
        ExchangeabilityMonitorHandler(**only_summaries(calibrated)).observe_loss("patient 1", {1: 0.1})


def with_mask(first: int, last: int) -> list[dict[str, Any]]:
    data = cases(first, last)
    for item in data:
        item["counted"] = torch.zeros(1, 8, 8)
        item["counted"][:, :4] = 1
        item["label"][:, 4:] = 255
    return data


def test_labels_on_a_masked_region(calibrated: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="counted without a mask, as calibrated, but these were counted inside one"):
        run(with_mask(40, 46), [ExchangeabilityMonitorHandler(mask_key="counted", **calibrated)])
    options: dict[str, Any] = {"alpha": 0.2, "unit_key": "patient", "case_key": "case", "mask_key": "counted"}
    run(with_mask(0, 40), [ConformalCalibrationHandler(**options, output_path=calibrated["calibration"])])
    handler = ExchangeabilityMonitorHandler(mask_key="counted", **calibrated)
    run(with_mask(40, 46), [handler])
    assert len(handler.monitor.losses) == 6


def failing(message: str, options: dict[str, Any], data: Any = None, kind: type = ValueError, **more: Any) -> None:
    with pytest.raises(kind, match=message):
        run(cases(40, 42) if data is None else data, [ExchangeabilityMonitorHandler(**options)], **more)


def test_cases_that_do_not_fit(calibrated: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    options = {"output_path": path, **calibrated}
    failing("another way than those of the reference: network is 'sha256:", options, network=ClassDistance(2.0))
    failing("another way than those of the reference", options, chain=Activationsd("pred", softmax=True))
    failing("Expected a handler like that of the reference.*an `image_key`", {**options, "image_key": None})
    failing("units of kind 'patient'.*unit_key=None", {**options, "unit_key": None})
    network = ClassDistance()
    chain = Compose(
        [
            Activationsd("pred", softmax=True),
            AsDiscreted("pred", argmax=True, to_onehot=3),
            NetworkProvenanced("pred", network),
        ]
    )
    failing("Case '40-0', score 'pred', image 'image': the score holds nothing but 0 and 1", options, chain=chain)
    bad = cases(40, 42)
    bad[2]["image"] = bad[2]["image"] / 0
    failing("Case '41-0'.*NaN or infinite", options, bad)
    wrong = cases(40, 42)
    wrong[1]["label"] = wrong[1]["label"] + 5
    failing("Case '40-1', score 'pred', label 'label'.*class numbers from 0 to 2", options, wrong)
    twice = cases(40, 42)
    twice[3]["case"] = "40-0"
    failing("'40-0' stands for two different images", options, twice)
    failing("Expected 'subject' in every item", {**options, "case_key": "subject"}, kind=KeyError)
    assert not path.exists()


def test_images_as_units_need_an_id() -> None:
    def step(engine: Engine, item: dict[str, Any]) -> list[dict[str, Any]]:
        return [item]

    def score(i: int) -> torch.Tensor:
        return torch.softmax(torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(i)), 0)

    named = [{"pred": MetaTensor(score(i), meta={"filename_or_obj": f"{i}.nii"})} for i in range(30)]
    reference = CaseSummaryHandler()
    reference.attach(engine := Engine(step))
    engine.run(named[:15])
    assert reference.summaries.names == ("share of class 1 at 0.5", "uncertainty")
    handler = ExchangeabilityMonitorHandler(reference.summaries)
    handler.attach(engine := Engine(step))
    handler.attach(engine)
    engine.run(named[15:])
    assert list(handler.monitor.cases) == [f"{i}.nii" for i in range(15, 30)]
    with pytest.raises(ValueError, match="give `case_key`"):
        engine.run([{"pred": MetaTensor(score(99))}])


def test_bad_settings(calibrated: dict[str, Any], tmp_path: Path) -> None:
    options = only_summaries(calibrated)
    with pytest.raises(ValueError, match="`false_alarm_rate`"):
        ExchangeabilityMonitorHandler(false_alarm_rate=1.0, **options)
    with pytest.raises(ValueError, match="`tolerated`"):
        ExchangeabilityMonitorHandler(tolerated=0.0, **options)
    for more in ({"label_key": "label"}, {"tolerated": 0.2}, {"calibration": "c.json"}):
        with pytest.raises(ValueError, match="`calibration` and `tolerated` together"):
            ExchangeabilityMonitorHandler(**{**options, **more})
    with pytest.raises(ValueError, match="`thresholds`"):
        CaseSummaryHandler(thresholds=(2.0,))
    for path in (tmp_path / "missing" / "c.json", tmp_path):
        for handler in (
            CaseSummaryHandler(output_path=path),
            ExchangeabilityMonitorHandler(output_path=path, **options),
        ):
            with pytest.raises(OSError, match="Cannot write"):
                handler.attach(Engine(lambda engine, batch: None))
    with pytest.raises(FileNotFoundError, match=r"CaseSummaryHandler\(output_path="):
        run(cases(40, 41), [ExchangeabilityMonitorHandler(tmp_path / "none.json", **KEYS)])
    with pytest.raises(ValueError, match="ran over no case"):
        CaseSummaryHandler()._finish(Engine(lambda engine, batch: None))
