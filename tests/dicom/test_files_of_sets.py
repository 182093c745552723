"""Sets of every kind of file as segments, and what lies in the folder of the series beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_rwcp.dicom import read_series
from tests.dicom.test_command import run, values
from tests.helpers.dicom_series import read_back
from tests.helpers.image_files import itk, nifti


@pytest.mark.parametrize("kind", ["nrrd", "mha", "vector", "micron", "NII.GZ"])
def test_sets_of_every_kind_of_file(kind: str, series_folder: Path, tmp_path: Path) -> None:
    series = read_series(series_folder)
    affine = series.volume.affine.numpy()
    if kind == "micron":
        in_micron = affine.copy()
        in_micron[:3] *= 1000
        sets = nifti(tmp_path / "sets.nii.gz", values(), in_micron, kind)
    elif kind == "NII.GZ":
        sets = nifti(tmp_path / "sets.nii.gz", values(), affine).rename(tmp_path / "sets.NII.GZ")
    else:
        sets = itk(tmp_path / f"sets.{'nii.gz' if kind == 'vector' else kind}", values(), affine, vector=True)
    ran = run(series_folder, sets, tmp_path / "seg.dcm")
    assert ran.exit_code == 0, ran.output
    found = read_back(tmp_path / "seg.dcm", series)
    for c, name in ((1, "heart"), (2, "lung")):
        np.testing.assert_array_equal(found[name], values()[..., c])


@pytest.mark.parametrize("wrong", [0.7, 256.0, -1.0, np.nan])
def test_values_that_are_no_set_are_not_rounded(wrong: float, series_folder: Path, tmp_path: Path) -> None:
    affine = read_series(series_folder).volume.affine.numpy()
    scores = values().astype(np.float32)
    scores[1, 2, 0, 2] = wrong
    sets, out = nifti(tmp_path / "sets.nii.gz", scores, affine), tmp_path / "seg.dcm"
    ran = run(series_folder, sets, out)
    assert ran.exit_code == 1
    assert "lung' holds other values than 0 and 1" in ran.output
    assert not out.exists()
