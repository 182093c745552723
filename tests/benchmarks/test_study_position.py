"""Parts of the heart by hand, and their figures against loops over patients made of noise."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")
pytest.importorskip("scipy", reason="the study's baselines need scipy")

from benchmarks.common.rows import read_rows, save_rows
from benchmarks.common.splitter import Splitter
from benchmarks.study.cases import CaseInfo, StudyCase, StudySet
from benchmarks.study.measure import load_curves, measure, study_candidates
from benchmarks.study.position import main, parts_of_heart, position_rows
from benchmarks.study.sets import SURFACE_ALPHA
from benchmarks.study.splits import SplitRow
from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore
from monai_rwcp.tune import tuning_thresholds
from tests.helpers.noise_patients import noisy_case

SIZES = (9, 7, 5, 3)


def loaded(info: CaseInfo) -> StudyCase:
    """Patients of four slices and a fifth of nothing; of odd patients the last slice is the base."""
    patient, z = int(info.unit[1:]), int(info.name[-1])
    order = SIZES[::-1] if patient % 2 else SIZES
    label = torch.zeros(1, 16, 16)
    if z < 4:
        label[0, : order[z], :8] = 1
        if order[z] > 4:
            label[0, 10:, : order[z]] = 2
    return noisy_case(label, 3, 10 * patient + z)


INFOS = tuple(CaseInfo(f"p{i:02d}_frame01_slice0{z}", f"p{i:02d}", z / 4) for i in range(30) for z in range(5))
STUDY = StudySet("noise", ("background", "one", "two"), "px", INFOS, loaded, ("own",))


def test_thirds_run_from_the_larger_end_to_the_smaller() -> None:
    one = np.array([0, 9, 8, 7, 6, 5, 4, 0])
    two = np.array([0, 0, 3, 0, 2, 0, 0, 0])
    true = np.stack([one, two], axis=1)
    expected = np.array([[-1, 0, 0, 1, 1, 2, 2, -1], [-1, -1, 0, -1, 2, -1, -1, -1]]).T
    assert np.array_equal(parts_of_heart(true), expected)
    assert np.array_equal(parts_of_heart(true[::-1]), expected[::-1])
    assert parts_of_heart(np.array([[0], [3], [0]])).tolist() == [[-1], [1], [-1]]
    assert parts_of_heart(np.zeros((3, 2), dtype=int)).tolist() == [[-1, -1]] * 3


def test_rows_against_loops(tmp_path: Path) -> None:
    candidates = [PlainScore(), BlurredScore(1.0)]
    measure(STUDY, candidates, tmp_path)
    of = load_curves(STUDY, candidates, tmp_path)
    splitter = Splitter(tuple(STUDY.units), 0)
    curves = {"plain CRC": (candidates[0], of[candidates[0]]), "blur": (candidates[1], of[candidates[1]])}
    rows = {(r.method, r.class_name, r.part): r for r in position_rows(STUDY, curves, splitter, [3])}
    _, calibrate, test = splitter.split(3)
    cases = {(info.unit, int(info.name[-1])): loaded(info) for info in INFOS}

    def counts(unit: str, slices: list[int], c: int, threshold: float) -> tuple[int, int, int]:
        true = missed = size = 0
        for z in slices:
            truth = cases[unit, z].label[0] == c
            found = cases[unit, z].probabilities[c] >= threshold
            true, missed, size = true + int(truth.sum()), missed + int((truth & ~found).sum()), size + int(found.sum())
        return true, missed, size

    for c, name in ((1, "one"), (2, "two")):
        kept = 0.0
        for threshold in tuning_thresholds().tolist():
            losses = [
                missed / true for true, missed, _ in (counts(u, [0, 1, 2, 3, 4], c, threshold) for u in calibrate)
            ]
            if (sum(losses) + 1) / (len(losses) + 1) > SURFACE_ALPHA + 1e-12:
                break
            kept = threshold
        # Ranks of the four slices of one (and the three of two) from the base: floor(3 (rank + .5) / n).
        ranks = (
            {"base": (0,), "middle": (1, 2), "apex": (3,)} if c == 1 else {"base": (0,), "middle": (1,), "apex": (2,)}
        )
        ranks["all slices"] = (0, 1, 2, 3) if c == 1 else (0, 1, 2)
        for part, inside in ranks.items():
            figures = []
            for unit in test:
                slices = [3 - rank if int(unit[1:]) % 2 else rank for rank in inside]
                true, missed, size = counts(unit, slices, c, kept)
                figures.append((missed / true, size / true))
            row = rows["plain CRC", name, part]
            assert (row.observed, row.stretch) == pytest.approx(tuple(np.mean(figures, axis=0)))
            other = rows["blur", name, part]
            assert other.candidate == "blur 1"
            assert (other.observed, other.stretch) != (row.observed, row.stretch)


def test_the_command_takes_what_the_study_chose_most_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = study_candidates(("own",), 2)
    walk = next(c for c in candidates if isinstance(c, WalkedScore))
    other_frame = CaseInfo("p00_frame12_slice00", "p00", 0.0)
    whole = StudySet("noise", STUDY.class_names, "px", (*INFOS, other_frame), loaded, ("own",))
    monkeypatch.setattr("benchmarks.study.position.study_set", lambda *_: whole)
    monkeypatch.setattr("benchmarks.study.position.candidates_of", lambda *_: candidates)
    chosen = {"plain CRC": ["plain"] * 3, "walk on own, tuned": [candidates[-40].name, walk.name, walk.name]}
    chosen["blur or bilateral with keep_peak, tuned"] = ["blur 2, keep_peak", "blur 4, keep_peak", "blur 2, keep_peak"]
    rows = [
        SplitRow(i, method, name, "one", SURFACE_ALPHA, 0.05, 0.1, 2.0, 0.5, 0.0)
        for method, names in chosen.items()
        for i, name in enumerate(names)
    ]
    rows += [SplitRow(i, "plain CRC", "blur 2", "one", 0.2, 0.05, 0.1, 2.0, 0.5, 0.0) for i in range(9)]
    save_rows([asdict(row) for row in rows], tmp_path / "acdc-slices-30.csv")
    ran = CliRunner().invoke(main, ["--shared", str(tmp_path), "--out", str(tmp_path), "--splits", "2"])
    assert ran.exit_code == 0, ran.output
    found = read_rows(tmp_path / "acdc-slices-30-position.csv")
    assert {row["candidate"] for row in found} == {"plain", "blur 2, keep_peak", walk.name}
    assert {row["split"] for row in found} == {"0", "1"}
    assert len(found) == 2 * 3 * 2 * 4
    assert "| class | part | plain CRC: plain | " in ran.output
    assert sorted(path.stem for path in (tmp_path / "curves/acdc-slices-30-position").glob("*.npz")) == [
        info.name for info in INFOS
    ]
