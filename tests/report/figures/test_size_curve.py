"""Set size against lambda, from the scores that `monai-rwcp predict` had to the chart of `monai-rwcp report`."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.figure
import nibabel
import numpy as np
import pytest
from click.testing import Result

from monai_rwcp.conformal import curve_thresholds
from monai_rwcp.report.figures.charts import size_curve
from tests.helpers.map_folders import run


@pytest.fixture
def scores(cohort: Any, tmp_path: Path) -> np.ndarray:
    """Scores of all cases ``[N, x, y, z, C]``; their sets in ``sets`` made by the command."""
    cohort.write(tmp_path)
    (tmp_path / "maps").mkdir()
    generator = np.random.default_rng(0)
    made = []
    for i in range(cohort.n):
        logits = 2.5 * np.eye(3)[cohort.label(i)] + generator.normal(0, 1.2, (*cohort.label(i).shape, 3))
        made.append((np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)).astype(np.float32))
        nibabel.save(nibabel.Nifti1Image(made[-1], cohort.affine), tmp_path / "maps" / f"{cohort.name(i)}.nii.gz")
    calibrated = ["--form", "channels-last", "--class-names", "background,organ,lesion", "--out", tmp_path / "d.json"]
    assert (
        run("calibrate", tmp_path / "maps", "--labels", tmp_path / "label", "--alpha", 0.2, *calibrated).exit_code == 0
    )
    ran = run(
        *("predict", tmp_path / "maps", "--form", "channels-last"),
        *("--calibration", tmp_path / "d.json", "--out", tmp_path / "sets"),
    )
    assert ran.exit_code == 0, ran.output
    return np.stack(made)


def report(folder: Path, name: str, calibration: str = "d.json") -> Result:
    return run(
        *("report", folder / "sets", "--labels", folder / "label", "--worst", 0),
        *("--calibration", folder / calibration, "--out", folder / name),
    )


def test_the_log_holds_the_sizes_and_the_page_shows_them(
    scores: np.ndarray, cohort: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = json.loads((tmp_path / "sets" / "run.json").read_text())
    assert log["thresholds"] == curve_thresholds().tolist()
    for i in range(cohort.n):
        for c in (1, 2):
            expected = [int((scores[i, ..., c] >= np.float32(t)).sum()) for t in log["thresholds"]]
            assert log["cases"][cohort.name(i)]["voxels_at"][str(c)] == expected
    given: list[Any] = []
    monkeypatch.setattr("monai_rwcp.report.html.page.size_curve", lambda *a: given.append(a) or size_curve(*a))
    ran = report(tmp_path, "r.html")
    assert ran.exit_code == 0, ran.output
    page = (tmp_path / "r.html").read_text()
    lambdas = [float(found) for found in re.findall(r"Dashed: lambda_hat = ([\d.]+); diamond", page)]
    thresholds = [entry["threshold"] for entry in json.loads((tmp_path / "d.json").read_text())["classes"].values()]
    assert lambdas == pytest.approx([1 - t for t in thresholds], abs=1e-6)
    for c, (stretches, threshold, observed) in zip((1, 2), given, strict=True):
        true = np.array([(cohort.label(i) == c).sum() for i in range(cohort.n)])
        sets = (scores[..., c] >= np.float32(threshold)).sum(axis=(1, 2, 3)) / true
        assert observed == pytest.approx(sets.mean())
        # The observed sets lie on the curve, between the two thresholds around their own.
        below = np.searchsorted(curve_thresholds(), threshold, side="right") - 1
        assert stretches.mean(axis=0)[below] >= observed >= stretches.mean(axis=0)[below + 1]


def test_without_sizes_the_page_says_why(scores: np.ndarray, cohort: Any, tmp_path: Path) -> None:
    path = tmp_path / "sets" / "run.json"
    log = json.loads(path.read_text())
    # As a run that was begun by an older release and went on with this one.
    for i in range(5):
        del log["cases"][cohort.name(i)]["voxels_at"]
    path.write_text(json.dumps(log))
    assert report(tmp_path, "some.html").exit_code == 0
    assert "Of 7 of 12 images." in (tmp_path / "some.html").read_text()
    path.unlink()
    assert report(tmp_path, "none.html").exit_code == 0
    page = (tmp_path / "none.html").read_text()
    assert "Set size against lambda is left out" in page
    assert "lambda_hat =" not in page


def test_a_log_of_another_calibration_or_none_at_all_is_refused(scores: np.ndarray, tmp_path: Path) -> None:
    ran = report(tmp_path, "r.html", "c.json")
    assert ran.exit_code == 1
    assert "run.json' tells that the sets there were made with another calibration" in ran.output
    (tmp_path / "sets" / "run.json").write_text('{"cases": 3}')
    ran = report(tmp_path, "r.html")
    assert ran.exit_code == 1
    assert "is not the log of monai-rwcp predict" in ran.output


def test_the_chart_marks_lambda_hat_and_shows_all_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the chart itself: the curve, its mark, and labels of lambda that are true and do not touch."""
    drawn: list[matplotlib.figure.Figure] = []
    monkeypatch.setattr("monai_rwcp.report.figures.charts._svg", lambda figure, name: drawn.append(figure) or "")
    thresholds = curve_thresholds().astype(float)
    stretches = np.stack([(1 - thresholds) * size for size in (20.0, 40.0, 60.0)])
    size_curve(stretches, 0.25, 30.0)
    axes = drawn[0].axes[0]
    curve = axes.lines[0].get_xydata()
    at = np.log(1 / thresholds - 1)[::-1]
    np.testing.assert_allclose(curve[:, 0], at)
    np.testing.assert_allclose(curve[:, 1], np.maximum(40 * (1 - thresholds[::-1]), 0.025))
    mark = next(line for line in axes.lines if line.get_marker() == "D").get_xydata()[0]
    np.testing.assert_allclose(mark, [np.log(0.75 / 0.25), 30.0])
    left, right = axes.get_xlim()
    assert left < mark[0] < right
    drawn[0].draw_without_rendering()
    for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        text = label.get_text().replace("$", "").replace("{", "").replace("}", "").replace("10^", "1e")
        level = 1 - float(text[2:]) if text.startswith("1-") else float(text)
        assert level == pytest.approx(1 / (1 + np.exp(-tick)), rel=1e-6)
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert len(boxes) > 2
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    # Whole images, empty sets, and a single case are drawn, too.
    for threshold in (None, 0.0, 1e-7):
        size_curve(np.zeros((1, 33)), threshold, 0.0)
        size_curve(np.full((1, 33), 50.0), threshold, 50.0)
