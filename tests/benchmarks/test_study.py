"""The study on patients made of noise: its splits, its thresholds and its figures, against loops."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")
pytest.importorskip("scipy", reason="the study's baselines need scipy")

from benchmarks.common.splitter import Splitter
from benchmarks.study.cases import StudyCase, StudySet, hippocampus
from benchmarks.study.measure import StudyCandidate, load_curves, measure, scores_of
from benchmarks.study.splits import calibrated_steps, outcomes, split_rows
from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore
from monai_rwcp.tune import SetCurves, tune_settings, tuning_thresholds
from tests.helpers.noise_patients import ALPHA, INFOS, STUDY, Measured, loaded


def test_splits_are_of_all_patients_and_repeat() -> None:
    splitter = Splitter(tuple(STUDY.units), 3)
    for split in range(20):
        tune, calibrate, test = splitter.split(split)
        assert sorted(tune + calibrate + test) == STUDY.units
        assert (len(tune), len(calibrate), len(test)) == (8, 11, 11)
        assert splitter.split(split) == (tune, calibrate, test)
        fifty = Splitter(tuple(f"p{i}" for i in range(50)), 3).split(split)
        assert [len(part) for part in fifty] == [10, 25, 15]
    assert splitter.split(0) != splitter.split(1)


def test_a_row_against_loops(measured: Measured) -> None:
    curves, pooled = measured.curves, measured.pooled
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


def test_what_is_counted_already_is_left_out(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates, curves = measured.candidates, measured.curves
    few = StudySet("few", STUDY.class_names, "px", INFOS[:3], loaded, ("own",))
    measure(few, candidates[::2], tmp_path)
    with pytest.raises(ValueError, match="is not counted by .* Run the study on"):
        load_curves(few, candidates, tmp_path)
    asked = []

    def noted(case: StudyCase, some: list[StudyCandidate]) -> object:
        asked.append(list(some))
        return scores_of(case, some)

    monkeypatch.setattr("benchmarks.study.measure.scores_of", noted)
    measure(few, candidates, tmp_path)
    assert asked == [candidates[1::2]] * 3
    for candidate, of in load_curves(few, candidates, tmp_path).items():
        for name in ("true", "missed", "size"):
            assert np.array_equal(getattr(of, name), getattr(curves[candidate], name)[:3])
    measure(few, candidates, tmp_path)
    assert len(asked) == 3


def test_thresholds_are_decided_in_fractions() -> None:
    """Nine patients who each miss a third at alpha = .4: 3 = .4 (9 + 1) - 1, though a third is rounded."""
    n = len(tuning_thresholds())
    missed = np.where(np.arange(n) < 100, 1, 3)[None, None].repeat(9, axis=0)
    curves = SetCurves(tuple("abcdefghi"), (1,), np.full((9, 1), 3), missed, np.full((9, 1, n), 3))
    assert calibrated_steps(curves, 0.4) == (99,)
    assert calibrated_steps(curves, 0.39) == (0,)
    unseen = SetCurves(curves.units, (1,), 0 * curves.true, 0 * missed, curves.size)
    assert calibrated_steps(unseen, 0.4) == (0,)


def test_a_class_that_is_not_shown_has_no_figures(measured: Measured) -> None:
    curves, pooled = measured.curves, measured.pooled
    without = {}
    for maps in (curves, pooled):
        for candidate, of in maps.items():
            true, missed = of.true.copy(), of.missed.copy()
            true[:, 1], missed[:, 1] = 0, 0
            without.setdefault(candidate, []).append(SetCurves(of.units, of.classes, true, missed, of.size))
    images, patients = ({c: both[i] for c, both in without.items()} for i in (0, 1))
    outcome = next(outcomes(patients, Splitter(tuple(STUDY.units), 0), 0, ALPHA))
    one, two = split_rows(STUDY, images, patients, outcome)
    assert one.observed >= 0
    assert all(math.isnan(x) for x in (two.working_level, two.observed, two.stretch, two.dice))
    assert two.false_alarms == 1


def test_what_tune_chooses_is_what_tune_settings_chooses(measured: Measured) -> None:
    candidates, pooled = measured.candidates, measured.pooled
    splitter = Splitter(tuple(STUDY.units), 0)
    shipped = [c for c in candidates if isinstance(c, (PlainScore, BlurredScore, WalkedScore))]
    for split, objective, method in (
        (0, "stretch", ""),
        (1, "stretch", ""),
        (2, "stretch", ""),
        (1, "dice", " by Dice"),
    ):
        tune, calibrate, _ = splitter.split(split)
        items = []
        for info in INFOS:
            if info.unit in tune:
                case = loaded(info)
                items.append(
                    {"pred": case.probabilities, "label": case.label, "own": case.features["own"], "patient": info.unit}
                )
        choice = tune_settings(
            items,
            alpha=ALPHA,
            n_calibration=len(calibrate),
            candidates=shipped,
            objective=objective,
            feature_keys={"own": "own"},
            seed=split,
        )
        found = {o.method: o.candidate for o in outcomes(pooled, splitter, split, ALPHA)}
        assert found[f"what tune chooses{method}"] == choice.chosen


def test_families_are_tuned_on_the_tuning_patients_only(measured: Measured) -> None:
    """What is chosen does not change when the other patients do."""
    pooled = measured.pooled
    splitter = Splitter(tuple(STUDY.units), 0)
    tune = set(splitter.split(2)[0])
    changed = {}
    for candidate, of in pooled.items():
        size = of.size.copy()
        for i, unit in enumerate(of.units):
            if unit not in tune:
                size[i] *= 1 + len(candidate.name) % 7
        changed[candidate] = SetCurves(of.units, of.classes, of.true, of.missed, size)
    chosen = [{o.method: o.candidate for o in outcomes(maps, splitter, 2, ALPHA)} for maps in (pooled, changed)]
    assert chosen[0] == chosen[1]


def test_a_network_is_trained_alike_whatever_the_number_of_threads(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.study.cases.STRENGTHS", {"weak": (2, 1)})
    before, weights = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            hippocampus(shared_dir / "data" / "hippocampus", "weak", tmp_path / str(threads))
            assert torch.get_num_threads() == threads
            weights.append(torch.load(tmp_path / str(threads) / "hippocampus_weak.pt", weights_only=True))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
