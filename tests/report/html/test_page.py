"""The report: its figures against the metrics, its pictures against the masks, its warnings, and that it needs nothing."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from click.testing import CliRunner
from PIL import Image

from monai_rwcp.cli import main
from monai_rwcp.conformal import ClassCalibration, InnerSetLoss, Promise
from monai_rwcp.metrics import ImageFigures, class_figures, prediction_set_metrics
from monai_rwcp.report.case_maps import CaseMaps
from monai_rwcp.report.cautions import report_warnings
from monai_rwcp.report.figures.slices import legend_pictures, slice_pictures
from monai_rwcp.report.gathered import GatheredReport
from tests.helpers.report_cohort import Cohort

SPACING = [1.0, 1.5, 3.0]


def made(arguments: list[str], out: Path) -> str:
    ran = CliRunner().invoke(main, [*arguments, "--out", str(out)])
    assert ran.exit_code == 0, ran.output
    return out.read_text()


@pytest.fixture
def page(cohort: Any, tmp_path: Path) -> str:
    arguments = cohort.write(tmp_path)
    text = made(arguments, tmp_path / "r.html")
    again = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "r.html")])
    assert again.exit_code == 1
    assert "exists" in again.output
    return text


class Reader(HTMLParser):
    """Tables as lists of rows of text and of what sorts them, and everything that could be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.values: list[list[str | None]] = []
        self.links: list[str] = []
        self.cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")
        ]
        if tag == "tr":
            self.rows.append([])
            self.values.append([])
        if tag in ("td", "th"):
            self.cell = True
            self.values[-1].append(dict(attrs).get("data-value"))

    def handle_endtag(self, tag: str) -> None:
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.cell:
            self.rows[-1].append(data)


def expected_figures(cohort: Any) -> tuple[dict[str, float], list[ImageFigures]]:
    images = []
    for i in range(cohort.n):
        figures = prediction_set_metrics(
            torch.tensor(cohort.found(i)[..., 1]), torch.tensor(cohort.label(i) == 1), spacing=SPACING
        )
        images.append(ImageFigures(figures, cohort.name(i)))
    return class_figures(images, 0.1), images


def test_its_figures_are_those_of_the_metrics(page: str, cohort: Any) -> None:
    found = Reader(page)
    expected, images = expected_figures(cohort)
    number = next(n for n, row in enumerate(found.rows) if row[0] == "organ")
    assert found.rows[number][1:3] == ["10 %", f"{100 * expected['fnr']:.1f} %"]
    values = [float(value) for value in found.values[number][2:] if value]
    low, high = scipy.stats.t.interval(
        0.95, cohort.n - 1, expected["fnr"], scipy.stats.sem([image.metrics.false_negative_rate for image in images])
    )
    names = ("stretch_median", "dice", "assd", "hd95", "components", "n_units")
    assert values == pytest.approx([expected["fnr"], low, *(expected[name] for name in names)])
    assert found.rows[number][3] == f"{100 * low:.1f} to {100 * high:.1f} %"
    patient = next(n for n, row in enumerate(found.rows) if row[0] == "case_03")
    figures = images[3].metrics
    assert [float(v or "nan") for v in found.values[patient][1:4]] == [1, figures.false_negative_rate, figures.stretch]


def test_warnings_come_first_and_names_are_escaped(page: str) -> None:
    assert page.index("Look at this first") < page.index("The promise")
    assert "The sets of a&lt;b are the whole image" in page
    assert re.search(
        r"Of organ 2\d\.\d % is missed \(95 % interval 1\d\.\d to 3\d\.\d %\), more than the promised 10 %", page
    )
    assert "a<b" not in page


def test_nothing_can_be_fetched(page: str) -> None:
    links = Reader(page).links
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.findall(r"@import|url\((?!#)", page)
    assert not [found for found in re.findall(r"https?://[^\"'\s<]+", page) if "www.w3.org" not in found]
    assert "default-src 'none'; img-src data:" in page


def test_the_same_sets_give_the_same_page(page: str, cohort: Any, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    assert made(cohort.write(tmp_path / "again"), tmp_path / "again.html") == page


def test_worst_cases_are_shown_where_they_miss_most(page: str) -> None:
    headings = re.findall(r"<figcaption>(case_\d\d, \w+: [\d.]+ % missed)", page)
    rates = [float(re.findall(r"([\d.]+) %", heading)[0]) for heading in headings]
    assert len(headings) == 4
    assert rates == sorted(rates, reverse=True)
    assert headings[0].startswith("case_04, organ: 50.0 %")
    assert page.count('class="now"') == 4
    assert "inner set" not in page


def test_the_band_of_inner_sets_is_shown(cohort: Any, tmp_path: Path) -> None:
    arguments = [*cohort.write(tmp_path), "--inner", str(tmp_path / "inner"), "--worst", "1"]
    page = made(arguments, tmp_path / "r.html")
    assert "the band between inner set and prediction set" in page
    assert page.count('class="slices"') == 1
    beyond = cohort.inner(0)
    beyond[0, 0, 0, 1] = 1
    import nibabel

    nibabel.save(nibabel.Nifti1Image(beyond, cohort.affine), tmp_path / "inner" / "case_00.nii.gz")
    ran = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "s.html")])
    assert ran.exit_code == 1
    assert "case_00.nii.gz': Expected the inner set inside the set, but 1 voxels of class 1 are not" in ran.output
    assert not (tmp_path / "s.html").exists()


def drawn(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def share_of(picture: np.ndarray, color: tuple[int, int, int]) -> float:
    return float((picture == color).all(axis=-1).mean())


def test_pictures_show_truth_set_what_is_missed_and_the_band(cohort: Any) -> None:
    label, found, inner = cohort.label(4) == 1, cohort.found(4)[..., 1] == 1, cohort.inner(4)[..., 1] == 1
    image = np.random.default_rng(0).random(label.shape)
    pictures = slice_pictures(image, label, found, (1.0, 1.5, 3.0))
    assert [z for z, _ in pictures] == [1, 2, 3]
    plain = drawn(pictures[1][1])
    # A voxel is 1.5 times as high as wide; the box has the margin of 12 voxels, cut at the image.
    assert plain.shape[0] / plain.shape[1] == pytest.approx(16 * 1.5 / 20, abs=0.02)
    green, orange, red, blue = (80, 255, 140), (255, 170, 0), (230, 26, 51), (102, 194, 255)
    assert min(share_of(plain, color) for color in (green, orange, red)) > 0.001
    assert share_of(plain, blue) == 0
    # Columns of the picture are x: red lies where x is 4 to 7 of 20, and nowhere else.
    columns = np.flatnonzero((plain == red).all(axis=-1).any(axis=0)) * 20 // plain.shape[1]
    assert set(columns.tolist()) == {4, 5, 6, 7}
    banded = drawn(slice_pictures(image, label, found, (1.0, 1.5, 3.0), inner)[1][1])
    blue_columns = set((np.flatnonzero((banded == blue).all(axis=-1).any(axis=0)) * 20 // banded.shape[1]).tolist())
    assert {8, 11, 12} <= blue_columns <= set(range(8, 13))
    middle = banded[(16 - 6) * banded.shape[0] // 16, 10 * banded.shape[1] // 20]
    assert middle[0] == middle[1] == middle[2]  # the image itself, inside the inner set
    assert slice_pictures(None, label & False, found & False, (1.0, 1.5, 3.0)) == []


def test_the_slice_where_most_is_missed_is_always_shown() -> None:
    truth, found = np.zeros((8, 8, 100), bool), np.zeros((8, 8, 100), bool)
    truth[2:6, 2:6], found[2:6, 2:6] = True, True
    found[..., 2] = False
    shown = [z for z, _ in slice_pictures(None, truth, found, (1.0, 1.0, 1.0))]
    assert 2 in shown
    assert len(shown) == 25


def test_what_all_miss_alike_is_warned_of() -> None:
    """Without any spread there is no interval."""
    calibration = replace(Cohort.calibration, classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)})
    truth, nothing = torch.ones(4, 4, dtype=torch.bool), torch.zeros(4, 4, dtype=torch.uint8)
    images = [ImageFigures(prediction_set_metrics(nothing, truth), f"patient {i}") for i in range(20)]
    (warning,) = report_warnings(calibration, {1: class_figures(images, 0.1)})
    assert "Of organ 100.0 % is missed (the same in all), more than the promised 10 %" in warning
    assert report_warnings(
        replace(calibration, promised=Promise(0.1, "tolerance", tau=0.9)), {1: class_figures(images, 0.1)}
    ) != [warning]


def test_marks_differ_in_black_and_white() -> None:
    """On a ground of any grey, in grey, each mark has light and dark pixels or a solid line, and no two look alike."""
    greys = {
        name: np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int)
        for name, png in legend_pictures().items()
    }
    ground = greys["truth"][0, 0]
    for name, picture in greys.items():
        assert np.abs(picture - ground).max() > 80, name
    names = list(greys)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert (np.abs(greys[one] - greys[other]) > 40).mean() > 0.05, (one, other)


def case(i: int, cohort: Any, **changes: Any) -> CaseMaps:
    found = torch.tensor(np.moveaxis(cohort.found(i), -1, 0).copy())
    return CaseMaps(cohort.name(i), changes.pop("unit", f"p{i}"), found, torch.tensor(cohort.label(i))[None], **changes)


def test_promises_of_another_kind_are_not_compared(cohort: Any) -> None:
    tolerance = replace(cohort.calibration, promised=Promise(0.1, "tolerance", tau=0.8))
    report = GatheredReport(tolerance, 0)
    for i in range(cohort.n):
        report.add(case(i, cohort))
    page = report.page()
    assert "is not what is promised: it is about the share of patients" in page
    assert "more than the promised" not in page
    assert "see above" in page
    with pytest.raises(ValueError, match="calibration of outer sets, but its loss is 'inner'"):
        GatheredReport(replace(cohort.calibration, loss=InnerSetLoss()))


def test_images_of_a_patient_are_pooled_and_strata_named(cohort: Any) -> None:
    report = GatheredReport(cohort.calibration, 0)
    for i in range(cohort.n):
        report.add(case(i, cohort, unit=f"p{i // 2}", stratum="AB"[i % 2]))
        report.add(case(i, cohort, unit=f"p{i // 2}", stratum="AB"[i % 2]))
    found = Reader(report.page())
    first = next(n for n, row in enumerate(found.rows) if row[0] == "p1")
    # Cases 2 and 3 miss 2 and 3 of 8 columns.
    assert [float(v or "nan") for v in found.values[first][1:3]] == [2, pytest.approx(2.5 / 8)]
    organ = next(row for row in found.rows if row[0] == "organ")
    rates = {s: np.mean([i % 5 / 8 for i in range(cohort.n) if "AB"[i % 2] == s]) for s in "AB"}
    worst = max(rates, key=lambda s: rates[s])
    assert f"{worst}: {100 * rates[worst]:.1f} %" in organ
    with pytest.raises(ValueError, match="'case_00' stands for two different images"):
        report.add(case(0, cohort, unit="other"))


def test_what_cannot_be_reported(cohort: Any) -> None:
    with pytest.raises(ValueError, match="no case to report"):
        GatheredReport(cohort.calibration).page()
    with pytest.raises(ValueError, match="from 0 on"):
        GatheredReport(cohort.calibration, -1)
    report = GatheredReport(cohort.calibration)
    with pytest.raises(ValueError, match="without an affine nobody knows where it lies"):
        report.add(case(4, cohort, image=lambda: torch.rand(1, 5, 5, 5)))


def test_a_single_case_has_no_interval(cohort: Any) -> None:
    one = replace(cohort.calibration, classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)})
    report = GatheredReport(one)
    report.add(case(3, cohort))
    organ = next(row for row in Reader(report.page()).rows if row[0] == "organ")
    assert organ[1:4] == ["10 %", "37.5 %", "-"]
    assert "Few patients here show organ (1)" in report.page()
