"""Distances, components and bleeding of sets: measured once, and as they are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")
pytest.importorskip("scipy", reason="the study's baselines need scipy")

from benchmarks.common.baselines import DilatedScore
from benchmarks.common.splitter import Splitter
from benchmarks.study.splits import Outcome, outcomes
from benchmarks.study.surfaces import measure_sets, set_rows
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.scores import PlainScore
from monai_rwcp.tune import SetCurves, tuning_thresholds
from tests.helpers.noise_patients import ALPHA, INFOS, STUDY, Measured, loaded


def test_sets_are_measured_once_and_as_they_are(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates, curves, pooled = measured.candidates, measured.curves, measured.pooled
    found = [o for i in range(2) for o in outcomes(pooled, Splitter(tuple(STUDY.units), 0), i, ALPHA)]
    figures = measure_sets(STUDY, candidates, found, tmp_path)
    plain = next(o for o in found if o.method == "plain CRC")
    row = next(iter(set_rows(STUDY, curves, plain, figures)))
    case = loaded(next(info for info in INFOS if info.name == row.case))
    mask = case.probabilities[1] >= float(tuning_thresholds()[plain.steps[0]])
    expected = prediction_set_metrics(mask, case.label[0] == 1)
    assert (row.size, row.missed, row.true) == (expected.size, expected.missed, expected.true)
    assert row.average_surface_distance == expected.average_surface_distance
    assert row.hausdorff_distance_95 == expected.hausdorff_distance_95
    assert row.components == expected.components
    wrong = mask & (case.label[0] != 1)
    assert row.bleeding == pytest.approx(int((case.label[0][wrong] == 2).sum()) / int(wrong.sum()))

    def nothing(*_: object) -> None:
        raise AssertionError("measured twice")

    monkeypatch.setattr("benchmarks.study.surfaces.scores_of", nothing)
    again = measure_sets(STUDY, candidates, found, tmp_path)
    assert json.dumps(again, sort_keys=True) == json.dumps(figures, sort_keys=True)


def test_an_empty_set_is_as_far_off_as_the_image_is_wide(measured: Measured, tmp_path: Path) -> None:
    candidates, curves = measured.candidates, measured.curves
    last = len(tuning_thresholds()) - 1
    outcome = Outcome(0, ALPHA, "dilation", DilatedScore("face"), (last, last), (9, 9), (INFOS[2].unit,))
    empty = Outcome(0, ALPHA, "plain CRC", PlainScore(), (last, last), (9, 9), (INFOS[2].unit,))
    rows = set_rows(STUDY, curves, empty, measure_sets(STUDY, candidates, [outcome, empty], tmp_path))
    assert {(row.size, row.hausdorff_distance_95) for row in rows} == {(0, math.hypot(16, 16))}


def test_a_set_that_was_counted_otherwise_is_refused(measured: Measured, tmp_path: Path) -> None:
    candidates, curves = measured.candidates, measured.curves
    outcome = Outcome(0, ALPHA, "plain CRC", PlainScore(), (300, 300), (9, 9), (INFOS[2].unit,))
    figures = measure_sets(STUDY, candidates, [outcome], tmp_path)
    of = curves[PlainScore()]
    other = {PlainScore(): SetCurves(of.units, of.classes, of.true, of.missed, of.size + 4)}
    with pytest.raises(RuntimeError, match="is not"):
        list(set_rows(STUDY, other, outcome, figures))
