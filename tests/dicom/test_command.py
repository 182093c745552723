"""NIfTI sets to DICOM by the command line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread

from monai_rwcp.cli import main
from monai_rwcp.conformal import Calibration, ClassCalibration, Promise
from monai_rwcp.dicom import read_series
from tests.helpers.dicom_series import SHAPE, read_back

CALIBRATION = Calibration(
    promised=Promise(0.1),
    unit_name="patient", n_channels=3, n_images=60, class_names=("background", "heart", "lung"),
    classes={1: ClassCalibration(0.25, 30, 0.05, 0.07), 2: ClassCalibration(0.125, 28, 0.06, 0.0679)},
)  # fmt: skip

CODES = ["--anatomy", "1=80891009,SCT,Heart", "--anatomy", "2=39607008,SCT,Lung"]


def run(folder: Path, sets: Path, out: Path, *options: str) -> Result:
    CALIBRATION.save(out.parent / "c.json")
    return CliRunner().invoke(
        main,
        [
            *("dicom-seg", str(sets), "--series", str(folder), "--calibration", str(out.parent / "c.json")),
            *("--out", str(out), *(options or CODES)),
        ],
    )


def values() -> np.ndarray:
    return (np.random.default_rng(0).random((*SHAPE, 3)) > 0.7).astype(np.uint8)


@pytest.mark.parametrize("flips", [(), (1,), (0, 2)])
def test_sets_of_a_file_whichever_way_its_axes_run(flips: tuple[int, ...], series_folder: Path, tmp_path: Path) -> None:
    series = read_series(series_folder)
    image = nibabel.Nifti1Image(values(), series.volume.affine.numpy())
    # Written as other converters do, with some axes the other way round: the same voxels at the same places.
    turn = np.array([[axis, -1 if axis in flips else 1] for axis in range(3)])
    nibabel.save(image.as_reoriented(turn), tmp_path / "sets.nii.gz")
    ran = run(series_folder, tmp_path / "sets.nii.gz", tmp_path / "seg.dcm")
    assert ran.exit_code == 0, ran.output
    found = read_back(tmp_path / "seg.dcm", series)
    for c, name in ((1, "heart"), (2, "lung")):
        np.testing.assert_array_equal(found[name], values()[..., c])


def test_what_cannot_be_written(series_folder: Path, tmp_path: Path) -> None:
    affine = read_series(series_folder).volume.affine.numpy()
    sets, out = tmp_path / "sets.nii.gz", tmp_path / "seg.dcm"

    def refused(message: str, *options: str) -> None:
        ran = run(series_folder, sets, out, *options)
        assert ran.exit_code == 1, ran.output
        assert message in ran.output
        assert not out.exists()

    nibabel.save(nibabel.Nifti1Image(values(), affine), sets)
    refused("none was given for 2 (lung)", "--anatomy", "1=80891009,SCT,Heart")
    refused("Expected CHANNEL=VALUE,SCHEME,MEANING", "--anatomy", "heart")
    refused("Expected one code for channel 1, but got two", *CODES, "--anatomy", "1=10200004,SCT,Liver")
    refused("for channel 0, but only 1 (heart), 2 (lung) are calibrated", *CODES, "--anatomy", "0=1,99X,Background")
    moved = affine.copy()
    moved[0, 3] += 1
    nibabel.save(nibabel.Nifti1Image(values(), moved), sets)
    refused(f"Expected file '{sets}' and series '{series_folder}' on one grid")
    nibabel.save(nibabel.Nifti1Image(values()[:-1], affine), sets)
    refused("does not lie on the grid of the series")
    nibabel.save(nibabel.Nifti1Image(values()[..., :2], affine), sets)
    refused("a channel for each of the calibration's")
    file = series_folder / "003.dcm"
    dataset = dcmread(file)
    dataset.RescaleSlope = float("nan")
    dataset.save_as(file)
    refused(f"Expected RescaleSlope of '{file}' to be a number of a sensible size, but got nan")
    del dataset.RescaleSlope, dataset.RescaleIntercept
    dataset.save_as(file)
    refused(f"do not share one scale: '{series_folder / '000.dcm'}' has a rescale, '{file}' no rescale")
    dataset.RescaleSlope, dataset.RescaleIntercept = 2, -1024
    dataset.save_as(file)
    sets.write_bytes(sets.read_bytes()[:200])
    refused("cannot be read; it may be truncated")
    ran = CliRunner().invoke(main, ["dicom-seg", str(sets), "--calibration", str(tmp_path / "c.json")])
    assert ran.exit_code == 2
    assert "--series" in ran.output
