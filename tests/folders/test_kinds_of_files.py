"""The whole way from maps to figures with files of every kind, in every unit of length, 2D and of one slice."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_rwcp.folders import read_grid_file, read_map
from tests.helpers.image_files import itk, nifti
from tests.helpers.map_folders import AFFINE, run, save, truth_and_map

N = 10
MM = {"mm": 1.0, "micron": 1e-3, "meter": 1e3, "unknown": 1.0}


def flat_case(i: int) -> tuple[np.ndarray, np.ndarray]:
    """One slice that shows both classes."""
    label, shares = truth_and_map(i)
    second = label[:, :, 9] == 2
    shares[second, 4], label[second, 4] = shares[second, 9], 2
    return label[:, :, [4]], shares[:, :, [4]]


def write(folder: Path, i: int, kind: str, affine: np.ndarray = AFFINE, flat: bool = False) -> None:
    """A map and its label, in NIfTI (by the name of a unit of length) or as ITK writes them (by the ending)."""
    label, shares = flat_case(i) if flat else truth_and_map(i)
    for of, values in (("maps", shares), ("labels", label)):
        if kind in MM:
            nifti(folder / of / f"c{i}.nii.gz", values, affine, kind)
        elif flat and kind != "vector":
            flat_values = values[:, :, 0]
            itk(folder / of / f"c{i}.{kind}", flat_values, affine, vector=of == "maps")
        else:
            itk(folder / of / f"c{i}.{'nii.gz' if kind == 'vector' else kind}", values, affine, vector=of == "maps")


def figures(folder: Path) -> dict[str, float]:
    form, labels, file = ["--form", "channels-last"], ["--labels", folder / "labels"], folder / "c.json"
    for command in (
        ["calibrate", folder / "maps", *form, *labels, "--out", file, "--alpha", "0.2"],
        ["predict", folder / "maps", *form, "--calibration", file, "--out", folder / "sets"],
        ["evaluate", folder / "sets", *labels, "--calibration", file, "--out", folder / "f.json"],
        ["report", folder / "sets", *labels, "--calibration", file, "--out", folder / "r.html", "--worst", "1"],
    ):
        ran = run(*command)
        assert ran.exit_code == 0, ran.output
    found = json.loads((folder / "f.json").read_text())
    return {name: value for name, value in found.items() if name.startswith("pred_set_")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("mm")
    for i in range(N):
        write(folder, i, "mm")
    return figures(folder)


@pytest.mark.parametrize("kind", ["nrrd", "mha", "vector"])
def test_files_of_itk_give_the_same_figures(kind: str, expected: dict[str, float], tmp_path: Path) -> None:
    for i in range(N):
        write(tmp_path, i, kind)
    assert figures(tmp_path) == pytest.approx(expected, nan_ok=True)
    there = nibabel.load(tmp_path / "sets/c0.nii.gz")
    np.testing.assert_allclose(there.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("unit", ["micron", "meter", "unknown"])
def test_mm_and_ml_are_those_of_the_header(unit: str, expected: dict[str, float], tmp_path: Path) -> None:
    for i in range(N):
        write(tmp_path, i, unit)
    found, mm = figures(tmp_path), MM[unit]
    for name, value in found.items():
        factor = mm**3 if "size_ml" in name else mm if "hd95" in name or "assd" in name else 1
        if expected[name] is not None:
            assert value == pytest.approx(expected[name] * factor, rel=1e-4), name
    there = nibabel.load(tmp_path / "sets/c0.nii.gz")
    assert there.header.get_xyzt_units()[0] == unit
    np.testing.assert_allclose(there.affine, AFFINE, rtol=1e-6)
    np.testing.assert_allclose(there.header.get_zooms()[:3], [1.5, 2, 3], rtol=1e-6)


def test_one_map_in_another_unit_is_nearly_right(tmp_path: Path) -> None:
    for i in range(N):
        write(tmp_path, i, "mm")
    by_thousand = AFFINE.copy()
    by_thousand[:3] *= 1000
    common = ["calibrate", tmp_path / "maps", "--form", "channels-last", "--labels", tmp_path / "labels"]
    # The same places in another unit.
    nifti(tmp_path / "labels/c7.nii.gz", truth_and_map(7)[0], by_thousand, "micron")
    assert run(*common, "--out", tmp_path / "c.json").exit_code == 0
    # As a program leaves it that overlooks the unit.
    nifti(tmp_path / "labels/c7.nii.gz", truth_and_map(7)[0], by_thousand, "unknown")
    ran = run(*common, "--out", tmp_path / "d.json")
    assert ran.exit_code == 1
    assert "labels/c7.nii.gz' and map '" in ran.output
    assert "is the unit of length in one header wrong, such as micron for mm?" in ran.output
    nifti(tmp_path / "labels/c7.nii.gz", truth_and_map(7)[0], AFFINE, 6)
    ran = run(*common, "--out", tmp_path / "d.json")
    assert ran.exit_code == 1
    assert "c7.nii.gz' tells lengths in a unit of the number 6" in ran.output


@pytest.mark.parametrize("kind", ["mm", "micron", "nrrd", "mha", "vector"])
def test_images_in_headers_of_volumes(kind: str, tmp_path: Path) -> None:
    for i in range(N):
        write(tmp_path, i, kind, flat=True)
    found = figures(tmp_path)
    # An area is no volume, however thick a header says that the slice is.
    assert found["pred_set_size_ml_1"] is None
    assert found["pred_set_hd95_1"] > 0
    there = nibabel.load(tmp_path / "sets/c0.nii.gz")
    assert there.shape == (18, 20, 1, 3)
    map_, label = tmp_path / "maps/c0.nii.gz", tmp_path / "labels/c0.nii.gz"
    if map_.exists():
        read = read_map(map_, "channels-last")
        assert read.shape == (3, 18, 20)
        # With or without the third axis in the file.
        for values in (flat_case(0)[0][:, :, 0], flat_case(0)[0]):
            nifti(label, values, AFFINE, kind if kind in MM else "mm")
            if values.ndim == 3:
                assert read_grid_file(label, read).shape == (1, 18, 20)


def test_a_single_slice_among_volumes(tmp_path: Path) -> None:
    for i in range(N):
        write(tmp_path, i, "mm", flat=i == 3)
    found = figures(tmp_path)
    assert found["pred_set_size_ml_1"] is None
    assert 0 <= found["pred_set_fnr_1"] <= 1


@pytest.mark.parametrize("ending", ["nrrd", "mha", "NII.GZ"])
def test_images_of_every_kind_are_looked_at(ending: str, tmp_path: Path) -> None:
    image = np.random.default_rng(0).random((18, 20, 12)).astype(np.float32)
    if ending == "NII.GZ":
        save(image, tmp_path / "a.nii.gz")
        (tmp_path / "a.nii.gz").rename(tmp_path / f"a.{ending}")
    else:
        itk(tmp_path / f"a.{ending}", image, AFFINE)
    save(image, tmp_path / "b.nii.gz")
    for name in (f"a.{ending}", "b.nii.gz"):
        ran = run("features", tmp_path / name, "--extractor", "mind", "--out", tmp_path / f"{name}.png")
        assert ran.exit_code == 0, ran.output
    raw = (tmp_path / f"a.{ending}").read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(raw[:-40] + bytes(40))
    ran = run("features", tmp_path / f"a.{ending}", "--extractor", "mind", "--out", tmp_path / "c.png")
    assert ran.exit_code == 1
    assert "cannot be read" in ran.output.replace("\n", " ")
