"""The study on patients made of noise: its splits, its thresholds and its figures, against loops."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")
pytest.importorskip("scipy", reason="the study's baselines need scipy")

from benchmarks.baselines import DilatedScore
from benchmarks.study_cases import CaseInfo, StudyCase, StudySet
from benchmarks.study_measure import load_curves, measure, study_candidates
from benchmarks.study_splits import Outcome, Splitter, outcomes, split_rows
from benchmarks.study_surfaces import measure_sets, set_rows
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.tune import PlainScore, SetCurves, tuning_thresholds

ALPHA = 0.2


def loaded(info: CaseInfo) -> StudyCase:
    generator = torch.Generator().manual_seed(int(info.name))
    label = torch.zeros(1, 16, 16)
    label[0, 3:9, 2:12], label[0, 10:14, 4:8] = 1, 2
    if int(info.name) % 5 == 0:
        label[label == 2] = 0
    logits = torch.nn.functional.one_hot(label[0].long(), 3).permute(2, 0, 1) * 2.0
    logits = logits + 1.5 * torch.randn(logits.shape, generator=generator)
    features = torch.randn(4, 8, 8, generator=generator)
    image = torch.rand(1, 16, 16, generator=generator)
    return StudyCase(torch.softmax(logits, dim=0), label, image, {"own": features}, None)


INFOS = tuple(CaseInfo(f"{i:03d}", f"patient {i // 2:02d}", i % 2) for i in range(60))
STUDY = StudySet("noise", ("background", "one", "two"), "px", INFOS, loaded, ("own",))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list, dict, dict]:
    folder = tmp_path_factory.mktemp("curves")
    # Two walks are enough here: the paper's and the recommended one, which the study looks up by their settings.
    candidates = [c for c in study_candidates(("own",), 2) if not hasattr(c, "walk")]
    candidates += [c for c in study_candidates(("own",), 2) if hasattr(c, "walk")][:2]
    measure(STUDY, candidates, folder)
    curves = load_curves(STUDY, candidates, folder)
    owner = {info.name: info.unit for info in INFOS}
    return folder, candidates, curves, {c: of.pooled(owner) for c, of in curves.items()}


def test_splits_are_of_all_patients_and_repeat() -> None:
    splitter = Splitter(tuple(STUDY.units), 3)
    for number in range(20):
        tune, calibrate, test = splitter.split(number)
        assert sorted(tune + calibrate + test) == STUDY.units
        assert (len(tune), len(calibrate), len(test)) == (8, 11, 11)
        assert splitter.split(number) == (tune, calibrate, test)
    assert splitter.split(0) != splitter.split(1)


def test_a_row_against_loops(measured: tuple[Path, list, dict, dict]) -> None:
    _, _, curves, pooled = measured
    splitter = Splitter(tuple(STUDY.units), 0)
    outcome = next(o for o in outcomes(pooled, splitter, 1, ALPHA) if o.method == "plain CRC")
    assert outcome.candidate == PlainScore()
    rows = {row.class_name: row for row in split_rows(STUDY, curves, pooled, outcome)}
    _, calibrate, test = splitter.split(1)
    cases = {info.name: loaded(info) for info in INFOS}

    def loss(unit: str, c: int, threshold: float) -> float:
        mine = [cases[info.name] for info in INFOS if info.unit == unit]
        true = sum(int((one.label[0] == c).sum()) for one in mine)
        missed = sum(int(((one.label[0] == c) & (one.probabilities[c] < threshold)).sum()) for one in mine)
        return missed / true if true else math.nan

    for c, name in enumerate(STUDY.class_names[1:], start=1):
        kept = []
        for threshold in tuning_thresholds().tolist():
            losses = [loss(unit, c, threshold) for unit in calibrate]
            shown = [x for x in losses if not math.isnan(x)]
            if (sum(shown) + 1) / (len(shown) + 1) > ALPHA + 1e-12:
                break
            kept.append(threshold)
        threshold = kept[-1]
        observed = [loss(unit, c, threshold) for unit in test]
        assert rows[name].observed == pytest.approx(np.nanmean(observed))
        dice, empty = [], []
        for info in INFOS:
            if info.unit in test:
                found, truth = cases[info.name].probabilities[c] >= threshold, cases[info.name].label[0] == c
                if truth.any():
                    dice.append(float(2 * (found & truth).sum() / (found.sum() + truth.sum())))
                else:
                    empty.append(not found.any())
        assert rows[name].dice == pytest.approx(np.mean(dice))
        if empty:
            assert rows[name].false_alarms == pytest.approx(1 - np.mean(empty))
        assert rows[name].working_level == pytest.approx(((outcome.n[c - 1] + 1) * ALPHA - 1) / outcome.n[c - 1])


def test_families_are_tuned_on_the_tuning_patients_only(measured: tuple[Path, list, dict, dict]) -> None:
    """What is chosen does not change when the other patients do."""
    _, _, _, pooled = measured
    splitter = Splitter(tuple(STUDY.units), 0)
    tune = set(splitter.split(2)[0])
    changed = {}
    for candidate, of in pooled.items():
        size = of.size.copy()
        for i, unit in enumerate(of.units):
            if unit not in tune:
                size[i] *= 1 + hash(candidate.name) % 7
        changed[candidate] = SetCurves(of.units, of.classes, of.true, of.missed, size)
    chosen = [{o.method: o.candidate for o in outcomes(maps, splitter, 2, ALPHA)} for maps in (pooled, changed)]
    assert chosen[0] == chosen[1]


def test_sets_are_measured_once_and_as_they_are(
    measured: tuple[Path, list, dict, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, candidates, curves, pooled = measured
    found = [o for number in range(2) for o in outcomes(pooled, Splitter(tuple(STUDY.units), 0), number, ALPHA)]
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

    monkeypatch.setattr("benchmarks.study_surfaces.scores_of", nothing)
    again = measure_sets(STUDY, candidates, found, tmp_path)
    assert json.dumps(again, sort_keys=True) == json.dumps(figures, sort_keys=True)


def test_an_empty_set_is_as_far_off_as_the_image_is_wide(
    measured: tuple[Path, list, dict, dict], tmp_path: Path
) -> None:
    _, candidates, curves, _ = measured
    last = len(tuning_thresholds()) - 1
    outcome = Outcome(0, ALPHA, "dilation", DilatedScore("face"), (last, last), (9, 9), (INFOS[2].unit,))
    empty = Outcome(0, ALPHA, "plain CRC", PlainScore(), (last, last), (9, 9), (INFOS[2].unit,))
    rows = set_rows(STUDY, curves, empty, measure_sets(STUDY, candidates, [outcome, empty], tmp_path))
    assert {(row.size, row.hausdorff_distance_95) for row in rows} == {(0, math.hypot(16, 16))}


def test_a_set_that_was_counted_otherwise_is_refused(measured: tuple[Path, list, dict, dict], tmp_path: Path) -> None:
    _, candidates, curves, _ = measured
    outcome = Outcome(0, ALPHA, "plain CRC", PlainScore(), (300, 300), (9, 9), (INFOS[2].unit,))
    figures = measure_sets(STUDY, candidates, [outcome], tmp_path)
    of = curves[PlainScore()]
    other = {PlainScore(): SetCurves(of.units, of.classes, of.true, of.missed, of.size + 1)}
    with pytest.raises(RuntimeError, match="is not"):
        list(set_rows(STUDY, other, outcome, figures))
