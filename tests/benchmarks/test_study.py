"""The study on patients made of noise: its splits, its thresholds and its figures, against loops."""

from __future__ import annotations

import json
import math
import re
import shutil
from functools import partial
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")
pytest.importorskip("scipy", reason="the study's baselines need scipy")

from benchmarks.baselines import DilatedScore
from benchmarks.study import main as study_command
from benchmarks.study_cases import CaseInfo, StudyCase, StudySet, hippocampus
from benchmarks.study_measure import StudyCandidate, load_curves, measure, scores_of, study_candidates
from benchmarks.study_page import main as write_page_command
from benchmarks.study_page import write_page
from benchmarks.study_pictures import slopes
from benchmarks.study_report import main as report
from benchmarks.study_splits import Outcome, Splitter, calibrated_steps, outcomes, split_rows
from benchmarks.study_store import StudyFacts, StudyResults, load_results, save_results
from benchmarks.study_summary import summary_table
from benchmarks.study_surfaces import measure_sets, set_rows
from benchmarks.study_tables import (
    by_method_and_split,
    coverage_lines,
    distance_table,
    failure_tables,
    number,
    read_rows,
    split_table,
)
from benchmarks.study_targets import choice_table, choice_target, target_table
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.tune import BlurredScore, PlainScore, SetCurves, WalkedScore, tune_settings, tuning_thresholds

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


def few_candidates(*_: object) -> list[StudyCandidate]:
    """Few walks are enough here; the first two are the paper's and the recommended one, which the study looks up."""
    everyone = study_candidates(("own",), 2)
    walks = [c for c in everyone if isinstance(c, WalkedScore)]
    return [c for c in everyone if not isinstance(c, WalkedScore)] + walks[:2] + walks[2:160:40]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list, dict, dict]:
    folder = tmp_path_factory.mktemp("curves")
    candidates = few_candidates()
    measure(STUDY, candidates, folder)
    curves = load_curves(STUDY, candidates, folder)
    owner = {info.name: info.unit for info in INFOS}
    return folder, candidates, curves, {c: of.pooled(owner) for c, of in curves.items()}


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


def test_what_is_counted_already_is_left_out(
    measured: tuple[Path, list, dict, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, candidates, curves, _ = measured
    few = StudySet("few", STUDY.class_names, "px", INFOS[:3], loaded, ("own",))
    measure(few, candidates[::2], tmp_path)
    with pytest.raises(ValueError, match="is not counted by .* Run the study on"):
        load_curves(few, candidates, tmp_path)
    asked = []

    def noted(case: StudyCase, some: list[StudyCandidate]) -> object:
        asked.append(list(some))
        return scores_of(case, some)

    monkeypatch.setattr("benchmarks.study_measure.scores_of", noted)
    measure(few, candidates, tmp_path)
    assert asked == [candidates[1::2]] * 3
    for candidate, of in load_curves(few, candidates, tmp_path).items():
        for name in ("true", "missed", "size"):
            assert np.array_equal(getattr(of, name), getattr(curves[candidate], name)[:3])
    measure(few, candidates, tmp_path)
    assert len(asked) == 3


def test_thresholds_are_decided_in_fractions(measured: tuple[Path, list, dict, dict]) -> None:
    """Nine patients who each miss a third at alpha = .4: 3 = .4 (9 + 1) - 1, though a third is rounded."""
    n = len(tuning_thresholds())
    missed = np.where(np.arange(n) < 100, 1, 3)[None, None].repeat(9, axis=0)
    curves = SetCurves(tuple("abcdefghi"), (1,), np.full((9, 1), 3), missed, np.full((9, 1, n), 3))
    assert calibrated_steps(curves, 0.4) == (99,)
    assert calibrated_steps(curves, 0.39) == (0,)
    unseen = SetCurves(curves.units, (1,), 0 * curves.true, 0 * missed, curves.size)
    assert calibrated_steps(unseen, 0.4) == (0,)


def test_a_class_that_is_not_shown_has_no_figures(measured: tuple[Path, list, dict, dict]) -> None:
    _, _, curves, pooled = measured
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


def test_what_tune_chooses_is_what_tune_settings_chooses(measured: tuple[Path, list, dict, dict]) -> None:
    _, candidates, _, pooled = measured
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
                size[i] *= 1 + len(candidate.name) % 7
        changed[candidate] = SetCurves(of.units, of.classes, of.true, of.missed, size)
    chosen = [{o.method: o.candidate for o in outcomes(maps, splitter, 2, ALPHA)} for maps in (pooled, changed)]
    assert chosen[0] == chosen[1]


def test_sets_are_measured_once_and_as_they_are(
    measured: tuple[Path, list, dict, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, candidates, curves, pooled = measured
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
    other = {PlainScore(): SetCurves(of.units, of.classes, of.true, of.missed, of.size + 4)}
    with pytest.raises(RuntimeError, match="is not"):
        list(set_rows(STUDY, other, outcome, figures))


def test_what_is_not_known_is_not_left_out_silently() -> None:
    def row(method: str, split: int, name: str, value: float) -> dict[str, str]:
        of = {"observed": value, "stretch": value, "dice": value, "false_alarms": value, "working_level": 0.05}
        ids = {"method": method, "split": str(split), "class_name": name, "alpha": "0.1"}
        return ids | {key: str(x) for key, x in of.items()}

    nan = math.nan
    values = {
        "plain CRC": [(0.2, 0.4), (0.2, nan), (nan, nan)],
        "other": [(0.1, nan), (0.1, nan), (nan, nan)],
    }
    rows = [
        row(method, split, name, x)
        for method, of in values.items()
        for split, both in enumerate(of)
        for name, x in zip(("easy", "hard"), both, strict=True)
    ]
    found = by_method_and_split(rows, partial(number, "stretch"))
    # In the first split the other has no figure of the hard class; in the second nobody has.
    assert found["plain CRC"][:2] == pytest.approx([0.3, 0.2])
    assert math.isnan(found["plain CRC"][2])
    assert math.isnan(found["other"][0])
    assert found["other"][1] == pytest.approx(0.1)
    table = split_table(rows)
    assert "0.250 (0.071) in 2 of 3 splits, +0%" in table
    # Compared in the one split that both have.
    assert "0.100 in 1 of 3 splits, -50%" in table
    kept = coverage_lines({"noise": [row("plain CRC", i, "easy", 0.5 if i else nan) for i in range(5)]})
    assert "above the promise in 1" in kept[0]
    assert "In 1 some split has no test patient who shows the class" in kept[0]


@pytest.mark.slow
def test_two_commands_make_the_page(
    measured: tuple[Path, list, dict, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = measured[0]
    for module in ("benchmarks.study", "benchmarks.study_report"):
        monkeypatch.setattr(f"{module}.study_set", lambda *_: STUDY)
        monkeypatch.setattr(f"{module}.candidates_of", few_candidates)
    out = tmp_path / "study"
    (out / "curves").mkdir(parents=True)
    (out / "curves" / "hippocampus-weak").symlink_to(folder)
    common = ["--set", "hippocampus-weak", "--shared", str(tmp_path), "--out", str(out)]
    ran = CliRunner().invoke(
        study_command, [*common, "--splits", "4", "--surface-splits", "2", "--alpha", "0.1", "--alpha", "0.01"]
    )
    assert ran.exit_code == 0, ran.output
    assert "alpha = 0.01 is not available with 11 calibration patients" in ran.output
    first = (out / "hippocampus-weak.csv").read_bytes(), (out / "hippocampus-weak-sets.csv").read_bytes()
    assert {row["split"] for row in read_rows(out / "hippocampus-weak.csv")} == {"0", "1", "2", "3"}
    assert {row["split"] for row in read_rows(out / "hippocampus-weak-sets.csv")} == {"0", "1"}
    ran = CliRunner().invoke(study_command, [*common, "--splits", "4", "--surface-splits", "2", "--alpha", "0.1"])
    assert ran.exit_code == 0, ran.output
    again = (out / "hippocampus-weak.csv").read_bytes(), (out / "hippocampus-weak-sets.csv").read_bytes()
    assert again == first
    page = tmp_path / "RESULTS.md"
    ran = CliRunner().invoke(report, [*common, "--page", str(page)])
    assert ran.exit_code == 0, ran.output
    text = page.read_text()
    assert "60 images, 4 splits" in text
    assert "sets of test images that show the class, 2 splits" in text
    assert text.endswith((tmp_path / "results/study/hippocampus-weak.md").read_text())
    # The page is made again from what is kept, without the data.
    page.unlink()
    (tmp_path / "results/study/hippocampus-weak.md").unlink()
    ran = CliRunner().invoke(write_page_command, ["--page", str(page)])
    assert ran.exit_code == 0, ran.output
    assert page.read_text() == text
    assert "| what tune chooses by Dice |" in text
    pictures = re.findall(r"\]\((results/study/.*?png)\)", text)
    assert len(pictures) == 4
    assert re.search(r"widest tried \(16 and 8 voxels\): blur \d+% at alpha = 0.1, bilateral \d+% at alpha = 0.1", text)
    # Distances of other splits do not stay, and a page needs the promise that is drawn.
    ran = CliRunner().invoke(study_command, [*common, "--splits", "3", "--surface-splits", "0", "--alpha", "0.2"])
    assert ran.exit_code == 0, ran.output
    assert not (out / "hippocampus-weak-sets.csv").exists()
    ran = CliRunner().invoke(report, [*common, "--page", str(page)])
    assert ran.exit_code == 1
    assert "no splits at alpha = 0.1" in ran.output
    ran = CliRunner().invoke(study_command, [*common, "--splits", "4", "--surface-splits", "2", "--alpha", "0.1"])
    assert ran.exit_code == 0, ran.output
    ran = CliRunner().invoke(report, [*common, "--page", str(page)])
    assert ran.exit_code == 0, ran.output
    assert "study_report --shared ../shared --set hippocampus-weak\n" in page.read_text()
    for picture in pictures:
        assert matplotlib.image.imread(tmp_path / picture)[..., :3].std() > 0.05
    # Without distances, which take the longest, there is a part of counts alone.
    (out / "hippocampus-weak-sets.csv").unlink()
    ran = CliRunner().invoke(report, [*common, "--page", str(page)])
    assert ran.exit_code == 0, ran.output
    counts = (tmp_path / "results/study/hippocampus-weak.md").read_text()
    assert "Distances were not measured" in counts
    assert "Where it fails" not in counts
    assert "| 0.1 | " in counts


def test_the_page_is_what_its_results_say(tmp_path: Path) -> None:
    benchmarks = Path(__file__).resolve().parents[2] / "benchmarks"
    kept = benchmarks / "results" / "study"
    shutil.copytree(kept, tmp_path / "results/study", ignore=shutil.ignore_patterns("*.png"))
    made_again = [path.with_suffix(".md") for path in (tmp_path / "results/study").glob("*.json")]
    assert made_again
    for part in made_again:
        part.unlink()
    write_page(tmp_path / "RESULTS.md")
    assert (tmp_path / "RESULTS.md").read_text() == (benchmarks / "RESULTS.md").read_text()
    # And the README quotes the page.
    assert summary_table(tmp_path / "results/study") in (benchmarks.parent / "README.md").read_text()


def test_results_are_kept_whole_and_other_studies_stay(tmp_path: Path) -> None:
    both = {method: (1.0, ["a"]) for method in ("blur, tuned", "bilateral, tuned")}
    facts = StudyFacts("noise", "px", 3, 4, "made", "walk", "usual", (0.1, 1 / 3), (2.0, 3.0), both, {"walk": 0.5}, "")
    rows = [row("m", 0, "one, two", x=1 / 3, n=7, nothing=math.nan, restart="0.0", tiny=1 / 3e7)]
    sets = [row("m", 0, "one", size=123456789, case="001_02.1234567")]
    save_results("noise", StudyResults(facts, rows, sets, rows, sets), tmp_path)
    kept = load_results("noise", tmp_path)
    assert kept is not None
    assert kept.rows == [{**rows[0], "x": "0.333333", "tiny": "3.33333e-08"}]
    assert (kept.sets, kept.position, kept.ablation) == (sets, sets, kept.rows)
    assert (kept.facts.title, tuple(kept.facts.slope_by_threshold)) == ("noise", (0.1, 1 / 3))
    save_results("noise", StudyResults(facts, sets, [], [], []), tmp_path)
    again = load_results("noise", tmp_path)
    assert again is not None
    assert (again.rows, again.sets, again.ablation, again.position) == (sets, [], kept.ablation, sets)
    assert load_results("other", tmp_path) is None


def test_a_network_is_trained_alike_whatever_the_number_of_threads(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.study_cases.STRENGTHS", {"weak": (2, 1)})
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


def row(method: str, split: int, class_name: str, **more: object) -> dict[str, str]:
    return {
        key: str(value) for key, value in {"method": method, "split": split, "class_name": class_name, **more}.items()
    }


def test_means_are_over_images_then_classes() -> None:
    rows = [row("a", 0, "one", x=1), row("a", 0, "one", x=3), row("a", 0, "two", x=6), row("a", 0, "two", x=math.nan)]
    rows += [row("a", 1, "one", x=5), row("b", 0, "one", x=math.nan)]
    found = by_method_and_split(rows, partial(number, "x"))
    assert found["a"] == [4.0, 5.0]
    assert np.isnan(found["b"]).tolist() == [True, True]


def test_a_broken_promise_is_named() -> None:
    random = np.random.default_rng(0)
    tables = {
        "kept": [row("m", i, "one", alpha=0.1, observed=x) for i, x in enumerate(random.normal(0.1, 0.02, 100))],
        "broken": [row("m", i, "one", alpha=0.1, observed=x) for i, x in enumerate(random.normal(0.12, 0.02, 100))],
    }
    head, *named = coverage_lines(tables)
    assert head.startswith("2 cells")
    assert len(named) == 1
    assert named[0].startswith("- broken, 0.1, m, one: 0.1")


def test_targets_against_the_best_baseline() -> None:
    distances = {"plain CRC": 10, "blur, tuned": 8, "dilation, tuned": 9, "bilateral, tuned": 6, "walk": 5.45}
    rows = [
        row(m, s, "one", average_surface_distance=d, hausdorff_distance_95=d, true=10, missed=1, size=int(10 + 2 * d))
        for m, d in distances.items()
        for s in range(2)
    ]
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in target_table({"acdc-slices-8": rows}, "walk", with_empty=True).splitlines()
    ]
    found = {(line[1], line[2]): (line[5], line[8]) for line in lines[2:]}
    assert found["HD95", "plain CRC"] == ("-45.5%", "met")
    assert found["ASSD", "bilateral, tuned"] == ("-9.2%", "missed")
    assert found["HD95", "bilateral, tuned"] == ("-9.2%", "missed")
    # Dice 18/30 against 18/32.
    assert found["Dice", "bilateral, tuned"] == (f"{18 / 30 - 18 / 32:+.3f}", "met")


def test_the_choice_against_the_best_baseline() -> None:
    random = np.random.default_rng(0)
    rows = []
    for s in range(100):
        luck = random.normal(0, 1)
        for method, stretch, dice in (
            ("plain CRC", 9, 0.2),
            ("blur, tuned", 4 + luck, 0.4),
            ("bilateral, tuned", 3 + luck, 0.5),
            ("what tune chooses", 3.1 + luck, 0.5 + (0.1 if s % 2 else -0.1)),
        ):
            rows.append(row(method, s, "one", alpha=0.1, stretch=stretch, dice=dice))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in choice_table(rows).splitlines()[2:]]
    # A difference far below what splits scatter by, yet in each of them.
    assert lines[0] == ["0.1", "stretch", "bilateral, tuned", "+0.100", "+0.100 to +0.100", "100%", "worse"]
    assert lines[1] == ["0.1", "Dice", "bilateral, tuned", "+0.000", "-0.100 to +0.100", "50%", "alike"]
    assert choice_target(rows) == "missed (stretch at 0.1)"
    assert choice_target([{**row, "stretch": "1"} for row in rows]) == "met"


def test_empty_sets_are_told_apart() -> None:
    figures = {"average_surface_distance": 2, "hausdorff_distance_95": 4, "components": 1, "bleeding": 0.5}
    far = {"average_surface_distance": 10, "hausdorff_distance_95": 10, "components": 0, "bleeding": math.nan}
    rows = [row("plain CRC", 0, "one", size=5, **figures), row("plain CRC", 0, "one", size=0, **far)]
    line = distance_table(rows, "px").splitlines()[2]
    assert line == "| plain CRC | 0.500 | 2.000, +0% | 4.000, +0% | 6.000, +0% | 7.000, +0% | 1.000 | 0.500 |"


def test_failures_are_by_size_position_and_patient() -> None:
    rows = [
        row(
            "m",
            0,
            "one",
            unit=f"p{i:02d}",
            position=i / 9,
            true=10 * (i + 1),
            missed=(i + 1) * (2 if i < 5 else 1),
            size=9,
        )
        for i in range(10)
    ]
    text = failure_tables(rows, ["m"])
    assert "| one | 0.150 |" in text
    assert "| one, truths of up to 40 voxels (a third) | 0.200 |" in text
    assert "| first half of the slices of those looked at, from 0.00 to 1.00 of the depth | 0.200 |" in text
    assert "| 1 | p04: 0.20 |" in text
    assert "| 10 | p05: 0.10 |" in text


def test_change_is_against_plain() -> None:
    rows = [
        row(m, s, "one", alpha=0.1, working_level=0.05, observed=0.06, stretch=x + s, dice=0.5, false_alarms=math.nan)
        for m, x in (("plain CRC", 2.0), ("walk", 1.0))
        for s in (0, 1)
    ]
    line = "| 0.1 | 0.050 | walk | 0.060 (0.000) | 0.060, one | 1.500 (0.707), -40% | 0.500 (0.000) | - |"
    assert line in split_table(rows)
    others = [
        {**one, "class_name": "two", "observed": rate}
        for one, rate in zip(rows, ["0.07", "nan", "nan", "nan"], strict=True)
    ]
    table = split_table(rows + others).splitlines()
    assert [line.split(" | ")[4] for line in table[2:]] == ["0.070, two", "0.060, one"]


def test_slopes_of_a_known_curve() -> None:
    """Sets that shrink as exp(-3 t) with the threshold t, of which t itself is missed."""
    thresholds = tuning_thresholds().astype(np.float64)
    n = 10**6
    missed = np.round(n * thresholds).astype(np.int64)[None, None]
    size = np.round(100 * n * np.exp(-3 * thresholds)).astype(np.int64)[None, None]
    curves = SetCurves(("a",), (1,), np.array([[n]]), missed, size)
    by_threshold, by_alpha = slopes(curves, 0.2)
    assert by_threshold == pytest.approx(3, rel=0.02)
    assert by_alpha == pytest.approx(3, rel=0.1)
