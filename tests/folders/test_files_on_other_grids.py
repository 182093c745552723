"""Labels, images and sets of a folder that lie elsewhere than the map: refused by name, or warned of once."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from tests.helpers.map_folders import SHAPE, run, save, truth_and_map

N = 30
SMALL = np.diag([0.05, 0.05, 0.05, 1.0])
SMALL[:3, 3] = (120, -2400, 3100)
"""A micro-CT, metres from the origin: a tolerance that grows with offsets takes a voxel for one far off."""


def moved(voxels: float) -> np.ndarray:
    there = SMALL.copy()
    there[0, 3] += 0.05 * voxels
    return there


def write(folder: Path, key: str | None = None, voxels: float = 0.0, numbers: tuple[int, ...] = (17,)) -> Path:
    """Maps, labels and images of thirty cases; in some of them one file lies elsewhere."""
    for i in range(N):
        label, shares = truth_and_map(i)
        files = {"maps": shares, "labels": label, "images": label.astype(np.float32)}
        for kind, values in files.items():
            elsewhere = kind == key and i in numbers
            save(values, folder / kind / f"c{i:02d}.nii.gz", moved(voxels) if elsewhere else SMALL)
    return folder


def calibrated(folder: Path, *more: object) -> Result:
    files = [folder / "maps", "--labels", folder / "labels", "--form", "channels-last", "--out", folder / "c.json"]
    return run("calibrate", *files, *more)


@pytest.mark.parametrize("voxels", [1, 0.1])
def test_one_label_of_thirty_lies_elsewhere(voxels: float, tmp_path: Path) -> None:
    ran = calibrated(write(tmp_path, "labels", voxels))
    assert ran.exit_code == 1
    assert not (tmp_path / "c.json").exists()
    # Headers hold seven digits: here a hundredth of a voxel.
    assert re.search(
        rf"label '{tmp_path}/labels/c17.nii.gz' and map '{tmp_path}/maps/c17.nii.gz' on one grid, but .* "
        r"(0\.9|1|1\.0|0\.09|0\.1)\d* voxels \(0\.0\d+ mm\).*Export both on the grid of the original image",
        ran.output,
    ), ran.output


def test_rounded_labels_are_warned_of_once(tmp_path: Path) -> None:
    write(tmp_path, "labels", 0.02, tuple(range(N)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ran = calibrated(tmp_path)
    assert ran.exit_code == 0, ran.output
    (said,) = [str(warning.message) for warning in caught if "affines" in str(warning.message)]
    assert "labels/c00.nii.gz" in said
    assert "maps/c00.nii.gz" in said
    rounded = json.loads((tmp_path / "c.json").read_text())["classes"]
    assert calibrated(write(tmp_path / "exact")).exit_code == 0
    assert json.loads((tmp_path / "exact" / "c.json").read_text())["classes"] == rounded


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("sets"))
    assert calibrated(folder).exit_code == 0
    files = [folder / "maps", "--form", "channels-last", "--calibration", folder / "c.json", "--out", folder / "sets"]
    ran = run("predict", *files)
    assert ran.exit_code == 0, ran.output
    return folder


def test_evaluating_and_reporting_labels_that_lie_elsewhere(sets: Path, tmp_path: Path) -> None:
    write(tmp_path, "labels", 1)
    for command, more in (("evaluate", []), ("report", ["--out", tmp_path / "page.html"])):
        files = [sets / "sets", "--calibration", sets / "c.json"]
        assert run(command, *files, "--labels", sets / "labels", *more).exit_code == 0
        (tmp_path / "page.html").unlink(missing_ok=True)
        ran = run(command, *files, "--labels", tmp_path / "labels", *more)
        assert ran.exit_code == 1
        assert "labels/c17.nii.gz' and map '" in ran.output
        assert "sets/c17.nii.gz' on one grid" in ran.output
        assert not (tmp_path / "page.html").exists()


def test_inner_sets_that_lie_elsewhere(sets: Path, tmp_path: Path) -> None:
    for there in (SMALL, moved(1)):
        for i in range(N):
            save(np.zeros((*SHAPE, 3), np.uint8), tmp_path / "inner" / f"c{i:02d}.nii.gz", there if i == 17 else SMALL)
        files = ["--labels", sets / "labels", "--calibration", sets / "c.json", "--inner", tmp_path / "inner"]
        page = tmp_path / f"{there is SMALL}.html"
        ran = run("report", sets / "sets", *files, "--out", page)
        assert (ran.exit_code, page.exists()) == ((0, True) if there is SMALL else (1, False)), ran.output
    assert "inner set '" in ran.output
    assert "inner/c17.nii.gz' and map '" in ran.output


def test_the_image_of_a_report_is_brought_to_the_sets_grid(sets: Path, tmp_path: Path) -> None:
    pages = []
    for turned in (False, True):
        for i in range(N):
            image = np.asarray(truth_and_map(i)[0], np.float32)
            there = SMALL.copy()
            if turned:
                image = image[::-1]
                there[0, 0] *= -1
                there[0, 3] += 0.05 * (SHAPE[0] - 1)
            save(image, tmp_path / f"{turned}" / f"c{i:02d}.nii.gz", there)
        files = ["--labels", sets / "labels", "--calibration", sets / "c.json", "--images", tmp_path / f"{turned}"]
        ran = run("report", sets / "sets", *files, "--out", tmp_path / f"{turned}.html")
        assert ran.exit_code == 0, ran.output
        pages.append(re.findall(r"data:image/png;base64,[^\"]+", (tmp_path / f"{turned}.html").read_text()))
    assert pages[0]
    assert pages[0] == pages[1]


def test_an_image_that_is_walked_by_lies_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, "images", 1)
    walk = ["--score", "recommended", "--images", tmp_path / "images", "--extractor", "mind"]
    ran = calibrated(tmp_path, *walk)
    assert ran.exit_code == 1
    assert "image '" in ran.output
    assert "images/c17.nii.gz' and map '" in ran.output
