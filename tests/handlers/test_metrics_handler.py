"""The metrics handler: in an evaluator beside MONAI's own handlers, over several runs, and with bad cases."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import MeanDice, MetricsSaver, from_engine
from monai.transforms import Activationsd, Compose

from monai_rwcp import (
    Calibration,
    ConformalCalibrationHandler,
    ConformalThresholdd,
    PredictionSetMetrics,
    PredictionSetMetricsHandler,
)
from monai_rwcp.conformal import prediction_set
from tests.helpers.engines import run_bare
from tests.helpers.networks import ClassDistance


def cases(n: int = 20, seed: int = 0) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i in range(n):
        label = torch.randint(0, 3, (1, 10, 12), generator=generator)
        if i % 4 == 0:
            label[label == 2] = 0
        image = label + 0.6 * torch.randn(1, 10, 12, generator=generator)
        meta = {"filename_or_obj": f"/data/image_{i}.nii.gz"}
        image = MetaTensor(image, affine=torch.diag(torch.tensor([2.0, 1.5, 1.0, 1.0])), meta=meta)
        found.append({"image": image, "label": label, "patient": f"p{i // 2}", "scanner": "AB"[i // 2 % 2]})
    return found


@pytest.fixture
def calibration(tmp_path: Path) -> Calibration:
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", output_path=tmp_path / "calibration.json")
    evaluate(cases(40, seed=1), [handler], [])
    return handler.calibration


def evaluate(data: list[dict[str, Any]], handlers: list[Any], more: list[Any], **options: Any) -> SupervisedEvaluator:
    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(data), batch_size=3),
        network=ClassDistance(2.0),
        decollate=True,
        postprocessing=Compose([Activationsd("pred", softmax=True), *more]),
        val_handlers=handlers,
        **options,
    )
    evaluator.run()
    return evaluator


def test_beside_monais_own_handlers(calibration: Calibration, tmp_path: Path) -> None:
    """Every figure equals the metric fed by hand, MONAI's Dice of the same sets agrees, and MetricsSaver writes all."""
    data = cases()
    ours = PredictionSetMetricsHandler(alpha=0.2, unit_key="patient", stratum_key="scanner", slice_thickness=8.0)

    def images_of(batch: Any) -> Any:
        return [item["image"].meta for item in batch]

    saver = MetricsSaver(
        str(tmp_path), metrics="*", metric_details="*", batch_transform=images_of, summary_ops="*", delimiter=","
    )
    evaluator = evaluate(data, [ours, saver], [ConformalThresholdd("pred", tmp_path / "calibration.json")])
    by_hand = PredictionSetMetrics(alpha=0.2, slice_thickness=8.0)
    for case in data:
        score = torch.softmax(ClassDistance(2.0)(case["image"][None].as_tensor())[0], dim=0)
        found = prediction_set(score, calibration)
        truth = torch.cat([case["label"] == c for c in range(3)])
        by_hand([found], [truth], spacing=[2.0, 1.5], units=[case["patient"]], strata=[case["scanner"]])
    metrics = evaluator.state.metrics
    figures = by_hand.aggregate()
    assert len(figures) == 18
    for name, values in figures.items():
        for c in (1, 2):
            assert metrics[f"pred_set_{name}_{c}"] == pytest.approx(float(values[c - 1]), rel=1e-6, nan_ok=True), name
    for stratum, values in by_hand.by_stratum().items():
        for c in (1, 2):
            assert metrics[f"pred_set_fnr_{c}_{stratum}"] == pytest.approx(float(values[c - 1]))
    assert (metrics["pred_set_n_without_class_1"], metrics["pred_set_n_without_class_2"]) == (0, 5)
    with (tmp_path / "metrics.csv").open() as file:
        written = dict(line.strip().split(",", 1) for line in file)
    assert {k for k in metrics if k.startswith("pred_set")} <= written.keys()
    assert float(written["pred_set_stretch_median_1"]) == metrics["pred_set_stretch_median_1"]
    with (tmp_path / "pred_set_stretch_raw.csv").open() as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows[1:]] == [case["image"].meta["filename_or_obj"] for case in data]
    # MONAI writes four decimals.
    stretches = by_hand.per_image()["stretch"][:, 0].tolist()
    assert [float(row[1]) for row in rows[1:]] == pytest.approx(stretches, abs=5.1e-5)


def test_as_the_key_metric(tmp_path: Path, calibration: Calibration) -> None:
    both = from_engine(["pred_set", "label"])

    def dice_input(output: Any) -> Any:
        found, truth = both(output)
        return found, [torch.cat([t == c for c in range(3)]).float() for t in truth]

    evaluator = evaluate(
        cases(),
        [],
        [ConformalThresholdd("pred", tmp_path / "calibration.json")],
        key_val_metric={"conformal": PredictionSetMetricsHandler()},
        additional_metrics={"monai_dice": MeanDice(include_background=False, output_transform=dice_input)},
    )
    assert evaluator.state.key_metric_name == "conformal"
    assert evaluator.state.best_metric == evaluator.state.metrics["conformal"]
    by_class = [evaluator.state.metrics[f"conformal_dice_{c}"] for c in (1, 2)]
    assert evaluator.state.metrics["conformal"] == pytest.approx(sum(by_class) / 2)
    details = evaluator.state.metric_details["conformal_dice"]
    assert torch.allclose(details.nan_to_num(-1).float(), evaluator.state.metric_details["monai_dice"].nan_to_num(-1))


def run(handler: PredictionSetMetricsHandler, items: list[dict[str, Any]], epochs: int = 1) -> dict[str, float]:
    engine = Engine(lambda engine, batch: batch)
    handler.attach(engine)
    engine.run([items], max_epochs=epochs)
    return engine.state.metrics


def item(**changes: Any) -> dict[str, Any]:
    label = torch.tensor([[[0, 1, 1, 1]]])
    found = torch.tensor([[[0, 0, 0, 0]], [[1, 1, 1, 0]]], dtype=torch.uint8)
    return {"pred_set": found, "label": label, "patient": "a"} | changes


def test_every_run_starts_anew() -> None:
    handler = PredictionSetMetricsHandler()
    assert run(handler, [item()], epochs=3)["pred_set_n_units_1"] == 1
    assert run(handler, [item(), item()])["pred_set_n_units_1"] == 2


def test_units_are_pooled_and_images_named() -> None:
    empty = item(pred_set=torch.zeros(2, 1, 4), label=torch.tensor([[[0, 0, 0, 1]]]))
    assert run(PredictionSetMetricsHandler(), [item(), empty])["pred_set_fnr_1"] == pytest.approx((1 / 3 + 1) / 2)
    assert run(PredictionSetMetricsHandler(unit_key="patient"), [item(), empty])["pred_set_fnr_1"] == 0.5
    twice = run(PredictionSetMetricsHandler(case_key="id"), [item(id=1), item(id=1)])
    assert twice["pred_set_n_units_1"] == 1
    with pytest.raises(ValueError, match="The name '1' stands for two different images"):
        run(PredictionSetMetricsHandler(case_key="id"), [item(id=1), {**empty, "id": 1}])


def test_a_mask_takes_voxels_out_of_set_and_truth() -> None:
    mask = torch.tensor([[[0, 1, 1, 0]]])
    metrics = run(PredictionSetMetricsHandler(mask_key="mask"), [item(mask=mask, label=torch.tensor([[[9, 1, 1, 9]]]))])
    assert (metrics["pred_set_fnr_1"], metrics["pred_set_stretch_mean_1"]) == (0, 1)


def test_overlapping_regions() -> None:
    regions = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 1]]])
    metrics = run(PredictionSetMetricsHandler(label_mode="regions"), [item(label=regions)])
    assert (metrics["pred_set_fnr_0"], metrics["pred_set_fnr_1"]) == (1, pytest.approx(1 / 3))
    metrics = run(PredictionSetMetricsHandler(include_background=True), [item()])
    assert "pred_set_fnr_0" in metrics


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {"label": torch.ones(1, 1, 3)},
            {},
            r"Case 'image 0', set 'pred_set', label 'label': Expected a label of shape",
        ),
        ({"label": torch.full((1, 1, 4), 7)}, {}, "class numbers from 0 to 1 in the label"),
        ({"pred_set": torch.rand(2, 1, 4)}, {}, "Expected `prediction_set` to hold zeros and ones"),
        ({"mask": torch.ones(1, 4)}, {"mask_key": "mask"}, r"Expected a mask of shape \(1, 1, 4\)"),
    ],
)
def test_a_case_that_does_not_fit_is_named(change: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(PredictionSetMetricsHandler(**options), [item(**change)])


@pytest.mark.parametrize(("key", "option"), [("pred_set", "set_key"), ("unit", "unit_key"), ("scanner", "stratum_key")])
def test_a_missing_key_is_named(key: str, option: str) -> None:
    one = {k: v for k, v in item().items() if k != key}
    with pytest.raises(KeyError, match=f"Expected '{key}' in every item"):
        run(PredictionSetMetricsHandler(**{option: key}), [one])  # type: ignore[arg-type]


def test_options_are_checked_at_once_and_no_case_is_an_error() -> None:
    with pytest.raises(ValueError, match="label_mode"):
        PredictionSetMetricsHandler(label_mode="indices")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`alpha` in \(0, 1\)"):
        PredictionSetMetricsHandler(alpha=10)
    with pytest.raises(ValueError, match="There is no image to sum up"):
        run(PredictionSetMetricsHandler(), [])


def test_attached_twice_it_counts_once() -> None:
    handler = PredictionSetMetricsHandler()
    engine = run_bare([handler, handler], [[item()]])
    assert engine.state.metrics["pred_set_n_units_1"] == 1
    assert math.isnan(engine.state.metrics["pred_set_size_ml_1"])


def test_a_bundle_can_name_it() -> None:
    parser = ConfigParser({"h": {"_target_": "monai_rwcp.PredictionSetMetricsHandler", "alpha": 0.1, "unit_key": "id"}})
    assert isinstance(parser.get_parsed_content("h"), PredictionSetMetricsHandler)
