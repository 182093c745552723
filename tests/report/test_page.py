"""The report: its figures against the metrics, its pictures against the masks, and the page in a browser."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from monai_rwcp.cli import main
from monai_rwcp.conformal import Calibration, ClassCalibration
from monai_rwcp.metrics import ImageFigures, class_figures, prediction_set_metrics
from monai_rwcp.report.slices import slice_pictures

CALIBRATION = Calibration(
    alpha=0.1, method="crc", scope="per_class", unit_loss="pooled", empty="exclude", outside="include",
    label_mode="index", unit_name="patient", n_channels=3, n_images=60, class_names=("background", "organ", "a<b"),
    classes={1: ClassCalibration(0.25, 30, 0.05, 0.07), 2: ClassCalibration(0.0, 28, 0.0, 0.0679)},
    provenance={"walk": {"k": 20}},
)  # fmt: skip

SHAPE, SPACING = (20, 16, 6), [1.0, 1.5, 3.0]


def masks(i: int) -> tuple[np.ndarray, np.ndarray]:
    label = np.zeros(SHAPE, np.uint8)
    label[4:12, 3:10, 1:4] = 1
    label[14:17, 4:8, 2:5] = 2
    found = np.zeros((*SHAPE, 3), np.uint8)
    found[4 + i % 5 : 13, 2:10, 1:4, 1] = 1
    found[..., 2] = 1
    return label, found


@pytest.fixture
def page(tmp_path: Path) -> str:
    CALIBRATION.save(tmp_path / "c.json")
    affine = np.diag([*SPACING, 1.0])
    for i in range(12):
        label, found = masks(i)
        image = label * 100.0 + np.random.default_rng(i).normal(0, 5, SHAPE)
        for kind, values in (("labels", label), ("sets", found), ("images", image.astype(np.float32))):
            (tmp_path / kind).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / kind / f"case_{i:02d}.nii.gz")
    arguments = ["report", str(tmp_path / "sets"), "--labels", str(tmp_path / "labels"), "--images"]
    arguments += [
        str(tmp_path / "images"),
        "--calibration",
        str(tmp_path / "c.json"),
        "--out",
        str(tmp_path / "r.html"),
    ]
    ran = CliRunner().invoke(main, arguments)
    assert ran.exit_code == 0, ran.output
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 1
    assert "exists" in again.output
    return (tmp_path / "r.html").read_text()


class Reader(HTMLParser):
    """Tables as lists of rows, and everything that could be fetched."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.links: list[str] = []
        self.cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "action")
        ]
        if tag == "tr":
            self.rows.append([])
        self.cell = self.cell or tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self.cell:
            self.rows[-1].append(data)


def test_its_figures_are_those_of_the_metrics(page: str) -> None:
    found = Reader(page)
    images = []
    for i in range(12):
        label, sets = masks(i)
        figures = prediction_set_metrics(torch.tensor(sets[..., 1]), torch.tensor(label == 1), spacing=SPACING)
        images.append(ImageFigures(figures, f"case_{i:02d}"))
    expected = class_figures(images, 0.1)
    row = next(row for row in found.rows if row[0] == "organ")
    assert row[1] == "0.1"
    for cell, name in zip(row[2:7], ("fnr", "fnr_standard_error", "stretch_median", "dice", "assd"), strict=True):
        assert float(cell) == pytest.approx(expected[name], abs=5e-4)
    patient = next(row for row in found.rows if row[0] == "case_03")
    assert float(patient[1]) == pytest.approx(images[3].metrics.false_negative_rate, abs=5e-4)


def test_warnings_come_first_and_names_are_escaped(page: str) -> None:
    assert page.index("Look at this first") < page.index("The promise")
    assert "The sets of a&lt;b are the whole image" in page
    assert "Of organ 2" in page
    assert "a<b" not in page


def test_nothing_is_fetched(page: str) -> None:
    links = Reader(page).links
    assert links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert not re.findall(r"@import|url\((?!#)", page)
    assert not [found for found in re.findall(r"https?://[^\"'\s<]+", page) if "www.w3.org" not in found]


def test_worst_cases_are_shown_where_they_miss_most(page: str) -> None:
    headings = re.findall(r"<figcaption>(case_\d\d, \w+: [\d.]+% missed)", page)
    rates = [float(re.findall(r"([\d.]+)%", heading)[0]) for heading in headings]
    assert len(headings) == 4
    assert rates == sorted(rates, reverse=True)
    assert headings[0].startswith("case_04, organ: 50.0%")


def test_pictures_show_truth_set_and_what_is_missed() -> None:
    label, sets = masks(4)
    image = np.random.default_rng(0).random(SHAPE)
    pictures = slice_pictures(image, label == 1, sets[..., 1] == 1, (1.0, 1.5, 3.0))
    assert [z for z, _ in pictures] == [1, 2, 3]
    drawn = matplotlib.image.imread(io.BytesIO(pictures[1][1]))[..., :3]
    # Green outlines, orange dashes, and red over the missed half of the truth.
    for color, least in (((0.0, 0.85, 0.35), 200), ((1.0, 0.6, 0.0), 100)):
        assert (np.abs(drawn - color).max(axis=-1) < 0.01).sum() > least
    red = (drawn[..., 0] > 0.44) & (drawn[..., 1] < 0.56) & (drawn[..., 0] - drawn[..., 2] > 0.3)
    assert red.sum() > 0.25 * (np.abs(drawn - (0.0, 0.85, 0.35)).max(axis=-1) < 0.01).sum()
    # A voxel is 1.5 times as high as wide; the box has the margin of 12 voxels, cut at the image.
    height, width = drawn.shape[:2]
    assert height / width == pytest.approx(16 * 1.5 / 20, abs=0.02)
    assert slice_pictures(None, label == 9, sets[..., 1] == 9, (1.0, 1.5, 3.0)) == []


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no Chromium to open the page in")
def test_the_page_in_a_browser(page: str, tmp_path: Path) -> None:
    # What the script did to the page: one slice shown in each figure; and after a click a sorted table.
    clicked = page.replace(
        "</script>", 'document.querySelectorAll("table")[1].querySelectorAll("button")[1].click();</script>'
    )
    (tmp_path / "clicked.html").write_text(clicked)
    dumped = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", str(tmp_path / "clicked.html")],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    assert dumped.count('class="now"') == 4
    rates = [float(row[1]) for row in Reader(dumped).rows if row[0].startswith("case_")]
    assert rates == sorted(rates)
    assert rates != [float(row[1]) for row in Reader(page).rows if row[0].startswith("case_")]
