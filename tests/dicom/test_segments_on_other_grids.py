"""A segment that lies elsewhere than the series is never written, whichever way it comes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_rwcp.dicom import Anatomy, Segment, Series, read_series, write_scores, write_sets
from monai_rwcp.dicom.nifti_sets import write_nifti_sets
from tests.dicom.test_command import CALIBRATION, values
from tests.helpers.dicom_series import SHAPE, read_back, write_series

HEART, LUNG = Anatomy("80891009", "SCT", "Heart"), Anatomy("39607008", "SCT", "Lung")
BLOB = torch.zeros(SHAPE)
BLOB[4:7, 2:5, 1:4] = 1


def as_set(path: Path, series: Series, there: np.ndarray) -> None:
    lying = MetaTensor(BLOB.to(torch.uint8), affine=torch.as_tensor(there))
    write_sets(path, series, [Segment("lung", LUNG, BLOB), Segment("heart", HEART, lying)], promise="p")


def as_score(path: Path, series: Series, there: np.ndarray) -> None:
    lying = MetaTensor(BLOB, affine=torch.as_tensor(there))
    write_scores(path, series, [Segment("lung", LUNG, BLOB), Segment("heart", HEART, lying)], description="d")


def as_file(path: Path, series: Series, there: np.ndarray) -> None:
    sets = path.with_name("heart.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.stack([np.zeros(SHAPE), BLOB, BLOB], -1).astype(np.uint8), there), sets)
    write_nifti_sets(sets, series, CALIBRATION, {1: HEART, 2: LUNG}, path)


WAYS = [as_set, as_score, as_file]


def moved(here: np.ndarray, by: float, axis: int) -> np.ndarray:
    there = here.copy()
    there[:3, 3] += by * here[:3, axis]
    return there


@pytest.mark.parametrize("write", WAYS)
@pytest.mark.parametrize(("by", "axis"), [(1, 0), (-1, 2), (0.1, 1)])
def test_elsewhere(
    write: Callable[[Path, Series, np.ndarray], None], by: float, axis: int, series_folder: Path, tmp_path: Path
) -> None:
    series, out = read_series(series_folder), tmp_path / "seg.dcm"
    with pytest.raises(
        ValueError, match=rf"heart.*' and series '{series_folder}' on one grid, but .* voxels \(.* mm\)"
    ):
        write(out, series, moved(series.volume.affine.numpy(), by, axis))
    assert not out.exists()


@pytest.mark.parametrize("write", [as_set, as_score])
def test_turned_with_its_affine(
    write: Callable[[Path, Series, np.ndarray], None], series_folder: Path, tmp_path: Path
) -> None:
    series, out = read_series(series_folder), tmp_path / "seg.dcm"
    mirror = np.diag([-1.0, 1, 1, 1])
    mirror[0, 3] = SHAPE[0] - 1
    with pytest.raises(ValueError, match="segment 'heart' and series .* one is turned or mirrored.*Invertd"):
        write(out, series, series.volume.affine.numpy() @ mirror)
    assert not out.exists()


@pytest.mark.parametrize("write", WAYS)
def test_rounded_headers(
    write: Callable[[Path, Series, np.ndarray], None], series_folder: Path, tmp_path: Path
) -> None:
    series = read_series(series_folder)
    here, out = series.volume.affine.numpy(), tmp_path / "seg.dcm"
    for by in (0.0, 4e-4, 0.02):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write(out, series, moved(here, by, 2).astype(np.float32).astype(float))
        said = [str(warning.message) for warning in caught if "affines" in str(warning.message)]
        assert len(said) == int(by == 0.02)
        np.testing.assert_array_equal(read_back(out, series)["heart"], BLOB.numpy())


def test_axes_between_two_directions(tmp_path: Path) -> None:
    """At 45 degrees rounding decides which direction of the body an axis is nearest to; the series' axes do not mind."""
    write_series(tmp_path / "series", 45.0)
    series = read_series(tmp_path / "series")
    for by in (-1e-6, 0.0, 1e-6):
        turn = np.eye(4)
        turn[1:3, 1:3] = [[np.cos(by), -np.sin(by)], [np.sin(by), np.cos(by)]]
        image = nibabel.Nifti1Image(values(), turn @ series.volume.affine.numpy())
        nibabel.save(image.as_reoriented(np.array([[2, -1], [0, 1], [1, -1]])), tmp_path / "sets.nii.gz")
        write_nifti_sets(tmp_path / "sets.nii.gz", series, CALIBRATION, {1: HEART, 2: LUNG}, tmp_path / "seg.dcm")
        found = read_back(tmp_path / "seg.dcm", series)
        np.testing.assert_array_equal(found["heart"], values()[..., 1])
