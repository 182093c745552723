"""The study from its command to the page, its pictures' figures, and what is kept."""

from __future__ import annotations

import math
import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")
pytest.importorskip("scipy", reason="the study's baselines need scipy")

from benchmarks.common.rows import read_rows
from benchmarks.study.__main__ import main as study_command
from benchmarks.study.page import main as write_pages_command
from benchmarks.study.page import write_pages
from benchmarks.study.pictures import slopes
from benchmarks.study.report import main as report
from benchmarks.study.sets import SETS
from benchmarks.study.store import StudyFacts, StudyResults, load_results, save_results
from benchmarks.study.summary import summary_table
from monai_rwcp.tune import SetCurves, tuning_thresholds
from tests.helpers.links import link
from tests.helpers.noise_patients import STUDY, Measured, few_candidates
from tests.helpers.rows_by_hand import row

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_two_commands_make_the_pages(measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = measured.folder
    for module in ("benchmarks.study.__main__", "benchmarks.study.report"):
        monkeypatch.setattr(f"{module}.study_set", lambda *_: STUDY)
        monkeypatch.setattr(f"{module}.candidates_of", few_candidates)
    out = tmp_path / "study"
    (out / "curves").mkdir(parents=True)
    link(out / "curves" / "hippocampus-weak", folder, to_folder=True)
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
    pages = ["--pages", str(tmp_path), "--results", str(tmp_path / "kept")]
    head, page = tmp_path / "study.md", tmp_path / "study/hippocampus-weak.md"
    ran = CliRunner().invoke(report, [*common, *pages])
    assert ran.exit_code == 0, ran.output
    made, text = head.read_text(), page.read_text()
    assert "\nstudy/hippocampus-weak\n" in made
    assert "60 images, 4 splits" in text
    assert "sets of test images that show the class, 2 splits" in text
    # The pages are made again from what is kept, without the data.
    head.unlink()
    page.unlink()
    ran = CliRunner().invoke(write_pages_command, pages)
    assert ran.exit_code == 0, ran.output
    assert (head.read_text(), page.read_text()) == (made, text)
    assert "| what tune chooses by Dice |" in text
    pictures = re.findall(r"\]\((\S+\.png)\)", text)
    assert len(pictures) == 4
    assert "CC BY-SA 4.0" in text
    assert re.search(r"widest tried \(16 and 8 voxels\): blur \d+% at alpha = 0.1, bilateral \d+% at alpha = 0.1", text)
    # Distances of other splits do not stay, and a page needs the promise that is drawn.
    ran = CliRunner().invoke(study_command, [*common, "--splits", "3", "--surface-splits", "0", "--alpha", "0.2"])
    assert ran.exit_code == 0, ran.output
    assert not (out / "hippocampus-weak-sets.csv").exists()
    ran = CliRunner().invoke(report, [*common, *pages])
    assert ran.exit_code == 1
    assert "no splits at alpha = 0.1" in ran.output
    ran = CliRunner().invoke(study_command, [*common, "--splits", "4", "--surface-splits", "2", "--alpha", "0.1"])
    assert ran.exit_code == 0, ran.output
    ran = CliRunner().invoke(report, [*common, *pages])
    assert ran.exit_code == 0, ran.output
    assert "benchmarks.study.report --shared ../shared --set hippocampus-weak\n" in head.read_text()
    for picture in pictures:
        assert matplotlib.image.imread(page.parent / picture)[..., :3].std() > 0.05
    # Without distances, which take the longest, there is a part of counts alone.
    (out / "hippocampus-weak-sets.csv").unlink()
    ran = CliRunner().invoke(report, [*common, *pages])
    assert ran.exit_code == 0, ran.output
    counts = page.read_text()
    assert "Distances were not measured" in counts
    assert "Where it fails" not in counts
    assert "| 0.1 | " in counts


def test_the_pages_are_what_the_results_say(tmp_path: Path) -> None:
    evidence, kept = ROOT / "docs/evidence", ROOT / "benchmarks/results/study"
    write_pages(tmp_path, kept)
    made = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*.md")}
    assert set(made) == {"study.md", *(f"study/{name}.md" for name in SETS)}
    assert made == {path: (evidence / path).read_text() for path in made}
    # And the first page of the evidence quotes them.
    assert summary_table(kept) in (evidence / "index.md").read_text()


def test_images_whose_licence_does_not_fit_are_not_shown() -> None:
    shown = {path.name for path in (ROOT / "docs/evidence/study").glob("*.png")}
    for name in SETS:
        page = (ROOT / f"docs/evidence/study/{name}.md").read_text()
        assert (f"{name}.png" in shown) == (f"![Images]({name}.png)" in page) == (not name.startswith("acdc"))
        assert ("CC BY-SA 4.0" in page) == ("hippocampus" in name)


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
