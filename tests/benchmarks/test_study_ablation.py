"""The ablation on a few patients of noise, against a walk made here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")
pytest.importorskip("scipy", reason="the study's baselines need scipy")

from benchmarks.common.baselines import BilateralScore, PeakKeptScore
from benchmarks.common.rows import read_rows
from benchmarks.study.ablation import ablation_candidates, main
from benchmarks.study.cases import CaseInfo, StudyCase, StudySet
from benchmarks.study.measure import scores_of
from monai_rwcp.scores import BlurredScore
from monai_rwcp.tune import tuning_thresholds
from monai_rwcp.walk import WalkSettings, diffuse_probabilities
from tests.helpers.noise_patients import noisy_case


def loaded(info: CaseInfo) -> StudyCase:
    label = torch.zeros(1, 32, 32)
    label[0, 6:18, 4:24] = 1
    return noisy_case(label, 2, int(info.name))


INFOS = tuple(CaseInfo(f"{i}", f"patient {i}", 0.0) for i in range(5))


def test_the_grid_of_settings_is_that_of_the_paper_and_each_other_setting_alone() -> None:
    found = ablation_candidates("own")
    walks = [c.walk for (base, changed, _), c in found.items() if base == "paper()" and changed == "k, n_steps, beta"]
    assert {(w.k, w.n_steps, w.beta) for w in walks} == {
        (k, n, float(beta)) for k in (5, 20, 50) for n in (1, 10, 20) for beta in (10, 20, 50, 100)
    }
    assert {(w.restart, w.center, w.spatial_weight, w.keep_peak) for w in walks} == {(0.0, False, 0.0, False)}
    assert found["recommended()", "keep_peak", "True"].walk == WalkSettings(
        20, 20.0, 20, 0.2, True, 3.0, 4, keep_peak=True
    )


def test_one_command_makes_tables_whose_figures_are_those_of_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = StudySet("noise", ("background", "one"), "px", INFOS, loaded, ("own",))
    monkeypatch.setattr("benchmarks.study.ablation.study_set", lambda *_: study)
    ran = CliRunner().invoke(main, ["--shared", str(tmp_path), "--out", str(tmp_path)])
    assert ran.exit_code == 0, ran.output
    rows = {(r["base"], r["changed"], r["value"]): r for r in read_rows(tmp_path / "acdc-slices-8-ablation.csv")}
    for key, settings in {
        ("paper()", "k, n_steps, beta", "5, 20, 10"): WalkSettings(5, 10.0, 20, grid=4),
        ("recommended()", "restart", "0.5"): WalkSettings(20, 20.0, 20, 0.5, True, 3.0, 4),
    }.items():
        cases = [loaded(info) for info in INFOS]
        scores = [diffuse_probabilities(case.probabilities, case.features["own"], settings)[1] for case in cases]
        truths = [case.label[0] == 1 for case in cases]
        best = 0.0
        for threshold in tuning_thresholds().tolist():
            missed = [float((t & (s < threshold)).sum() / t.sum()) for s, t in zip(scores, truths, strict=True)]
            best = threshold if sum(missed) / 5 <= 0.1 else best
        stretch = sum(float((s >= best).sum() / t.sum()) for s, t in zip(scores, truths, strict=True)) / 5
        assert float(rows[key]["stretch"]) == pytest.approx(stretch, rel=1e-5)
        assert f"{float(rows[key]['stretch']):.3f} / {float(rows[key]['dice']):.3f}" in ran.output


def test_a_baseline_with_kept_peaks() -> None:
    case, base = loaded(INFOS[0]), BilateralScore(2.0, 0.2)
    kept = PeakKeptScore(base)
    scores = dict(scores_of(case, [kept, BlurredScore(2.0, keep_peak=True)]))
    assert len(scores) == 2
    for score in scores.values():
        torch.testing.assert_close(score.amax((1, 2)), case.probabilities.amax((1, 2)))
    assert kept.name == f"{base.name}, keep_peak"
