"""Handlers and the metric refuse maps of a case that lie elsewhere, one case of thirty too, and take what is rounded."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monai_rwcp import (
    Calibration,
    CaseSummaryHandler,
    ConformalCalibrationHandler,
    ExchangeabilityMonitorHandler,
    PredictionSetMetrics,
    PredictionSetMetricsHandler,
    ReportHandler,
)
from monai_rwcp.conformal import case_loss_table
from monai_rwcp.metrics import prediction_set_metrics, sandwich_metrics
from monai_rwcp.report import plot_prediction_set
from tests.helpers.engines import run_bare
from tests.helpers.placed_maps import ELSEWHERE, ROUNDED, case

N = 30
Items = list[dict[str, Any]]


def items(key: str | None = None, there: np.ndarray | None = None, numbers: tuple[int, ...] = (17,)) -> Items:
    """Thirty cases; in some of them one map lies elsewhere."""
    return [case(i, {} if key is None or there is None or i not in numbers else {key: there}) for i in range(N)]


def calibrated(data: Items, **options: Any) -> Calibration:
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case", **options)
    run_bare(handler, [data])
    return handler.calibration


def weighted(data: Items, folder: Path) -> object:
    return calibrated(data, loss="weighted_fnr", weight_key="weight").lambda_hat


def masked(data: Items, folder: Path) -> object:
    return calibrated(data, mask_key="roi").lambda_hat


def measured(data: Items, folder: Path) -> object:
    handler = PredictionSetMetricsHandler(unit_key="patient", case_key="case", mask_key="roi")
    figures = run_bare(handler, [data]).state.metrics
    assert figures["pred_set_dice_1"] == 1
    return figures["pred_set_fnr_1"]


def reported(data: Items, folder: Path) -> object:
    page = folder / "page.html"
    page.unlink(missing_ok=True)
    calibration = calibrated(items())
    keys = {"unit_key": "patient", "case_key": "case", "inner_key": "pred_inner", "score_key": "pred", "n_shown": 0}
    try:
        run_bare(ReportHandler(calibration, page, **keys), [data])
    except ValueError:
        assert not page.exists()
        raise
    # But for the second at which it was written.
    return re.sub(r"T\d\d:\d\d:\d\d", "", page.read_text())


def watched(data: Items, folder: Path) -> object:
    reference = CaseSummaryHandler(unit_key="patient", case_key="case")
    run_bare(reference, [items()])
    handler = ExchangeabilityMonitorHandler(
        reference.summaries, unit_key="patient", case_key="case", calibration=calibrated(items(), mask_key="roi"),
        label_key="label", mask_key="roi", tolerated=0.5,
    )  # fmt: skip
    for one in data:
        one["patient"], one["case"] = f"new {one['patient']}", f"new {one['case']}"
    run_bare(handler, [data])
    return handler.monitor.verdict


FACES: list[tuple[Callable[[Items, Path], object], str, str]] = [
    (masked, "score 'pred'", "label"), (masked, "score 'pred'", "roi"), (weighted, "score 'pred'", "weight"),
    (measured, "set 'pred_set'", "label"), (measured, "set 'pred_set'", "roi"),
    (reported, "set 'pred_set'", "label"), (reported, "set 'pred_set'", "pred_inner"),
    (reported, "set 'pred_set'", "pred"), (watched, "score 'pred'", "label"), (watched, "score 'pred'", "roi"),
]  # fmt: skip
WORDS = {"label": "label", "roi": "mask", "weight": "weight map", "pred": "score", "pred_inner": "inner set"}
IDS = [f"{face.__name__}, {key}" for face, _, key in FACES]


@pytest.mark.parametrize(("face", "first", "key"), FACES, ids=IDS)
def test_one_case_of_thirty_lies_elsewhere(
    face: Callable[[Items, Path], object], first: str, key: str, tmp_path: Path
) -> None:
    for name in ("one voxel", "one slice", "mirrored"):
        with pytest.raises(ValueError, match=rf"17.*Expected {first} and {WORDS[key]} '{key}' on one grid.*voxels \("):
            face(items(key, ELSEWHERE[name]), tmp_path)


@pytest.mark.parametrize(("face", "first", "key"), FACES, ids=IDS)
def test_rounded_headers_are_warned_of_once(
    face: Callable[[Items, Path], object], first: str, key: str, tmp_path: Path
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        expected = face(items(), tmp_path)
    assert not [warning for warning in caught if "affines" in str(warning.message)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert face(items(key, ROUNDED, tuple(range(N))), tmp_path) == expected
    said = [str(warning.message) for warning in caught if f"affines {first} and " in str(warning.message)]
    assert len(said) == 1
    assert f"{WORDS[key]} '{key}'" in said[0]


@pytest.mark.parametrize("face", [masked, weighted, measured, reported, watched])
def test_plain_tensors_are_taken_as_they_are(face: Callable[[Items, Path], object], tmp_path: Path) -> None:
    plain = [{k: v.as_tensor() if isinstance(v, torch.Tensor) else v for k, v in one.items()} for one in items()]
    face(plain, tmp_path)


def test_every_run_warns_anew() -> None:
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", case_key="case")
    for _ in range(2):
        with pytest.warns(UserWarning, match="score 'pred' and label 'label' lie up to .* apart"):
            run_bare(handler, [items("label", ROUNDED)])


@pytest.mark.parametrize("there", ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_metric(there: np.ndarray) -> None:
    metric = PredictionSetMetrics()
    one, other = case(0), case(1, {"label": there})
    truths = [torch.cat([1 - item["label"], item["label"]]) for item in (one, other)]
    sets = [item["pred_set"] for item in (one, other)]
    metric(sets[:1], truths[:1])
    with pytest.raises(ValueError, match=r"set 'y_pred\[1\]' and truth 'y\[1\]' on one grid"):
        metric(sets, truths)
    metric(sets, [truth.as_tensor() for truth in truths])
    with pytest.raises(ValueError, match="set 'prediction_set' and truth 'truth'"):
        prediction_set_metrics(sets[1][1], truths[1][1])
    with pytest.raises(ValueError, match="inner set 'inner' and outer set 'outer'"):
        sandwich_metrics(torch.zeros_like(truths[1][1]), sets[1][1])


@pytest.mark.parametrize("key", ["label", "roi", "weight"])
def test_counting_by_hand(key: str) -> None:
    def count(item: dict[str, Any]) -> None:
        case_loss_table(
            item["pred"], item["label"], loss="weighted_fnr", unit="a", mask=item["roi"], weight=item["weight"]
        )

    count(case(0))
    with pytest.raises(ValueError, match=f"score 'score' and {WORDS[key]} '{WORDS[key]}' on one grid"):
        count(case(0, {key: ELSEWHERE["one voxel"]}))


@pytest.mark.parametrize("key", ["truth", "image", "inner"])
def test_a_picture_of_one_slice(key: str) -> None:
    pytest.importorskip("matplotlib")

    def draw(there: dict[str, np.ndarray]) -> None:
        keys = {"found": "pred_set", "truth": "label", "image": "pred", "inner": "pred_inner"}
        one = case(0, {keys[name]: affine for name, affine in there.items()})
        inner, truth = one["pred_inner"][1, ..., 3], one["label"][0, ..., 3]
        plot_prediction_set(one["pred"][1, ..., 3], one["pred_set"][1, ..., 3], truth, inner=inner)

    draw({})
    with pytest.raises(ValueError, match=f"'{key}' on one grid|{key} '{key}' and"):
        draw({key: ELSEWHERE["mirrored"]})
