"""Folders that hold more or less than the slices of one series of one patient: one sentence that names the file."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from monai_rwcp.dicom import read_series
from tests.helpers.dicom_series import SHAPE, Change, write_series


def one(number: int, **values: Any) -> Change:
    def change(slices: list[Any]) -> None:
        for name, value in values.items():
            if value is None:
                delattr(slices[number], name)
            else:
                setattr(slices[number], name, value)

    return change


def every(**values: Any) -> Change:
    def change(slices: list[Any]) -> None:
        for number in range(len(slices)):
            one(number, **values)(slices)

    return change


def enhanced(slices: list[Any]) -> None:
    """All slices as frames of one file, with their places within functional groups."""
    whole = slices[0]
    whole.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    whole.NumberOfFrames, whole.PixelData = len(slices), b"".join(d.PixelData for d in slices)
    frames = []
    for d in slices:
        position = Dataset()
        position.ImagePositionPatient = d.ImagePositionPatient
        frame = Dataset()
        frame.PlanePositionSequence = Sequence([position])
        frames.append(frame)
    whole.PerFrameFunctionalGroupsSequence = Sequence(frames)
    del whole.ImagePositionPatient, whole.ImageOrientationPatient, whole.PixelSpacing
    del slices[1:]


def single_enhanced(slices: list[Any]) -> None:
    enhanced(slices)
    slices[0].NumberOfFrames = 1


# Written as the third of the slices is: (2 * 5) % 7.
THIRD = r"003\.dcm"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (enhanced, r"'.*000\.dcm' is an enhanced multi-frame image .* cannot be read\. .* convert"),
        (single_enhanced, r"'.*000\.dcm' is an enhanced multi-frame image"),
        (one(2, NumberOfFrames=2), rf"frames or colours, such as '.*{THIRD}'"),
        (one(2, PatientID="other"), rf"differ in PatientID \(.*{THIRD}'\).* one patient"),
        (one(2, PatientID=None), "differ in PatientID"),
        (one(2, StudyInstanceUID="1.2.3"), "differ in StudyInstanceUID"),
        (one(2, FrameOfReferenceUID="1.2.3"), "differ in FrameOfReferenceUID"),
        (one(2, SeriesInstanceUID=None), rf"1 of 6 images .* no SeriesInstanceUID, such as '.*{THIRD}'"),
        (every(SeriesInstanceUID=None), "6 of 6 images in .* no SeriesInstanceUID"),
        (every(SOPInstanceUID="1.2.3"), r"000\.dcm' and '.*\.dcm' are copies of one image \(SOPInstanceUID 1\.2\.3\)"),
        (one(2, ImagePositionPatient=[float("nan"), 0, 0]), rf"ImagePositionPatient of '.*{THIRD}' to be 3 numbers"),
        (one(2, ImagePositionPatient=[0, 0]), "to be 3 numbers of a sensible size, but got"),
        (one(2, ImagePositionPatient=[1e200, 0, 0]), "of a sensible size"),
        (
            one(2, ImageOrientationPatient=[float("nan")] * 6),
            rf"ImageOrientationPatient of '.*{THIRD}' to be 6 numbers",
        ),
        (every(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]), "two directions of length 1 at a right angle"),
        (every(ImageOrientationPatient=[1, 0, 0, 1, 0, 0]), "two directions of length 1 at a right angle"),
        (every(ImageOrientationPatient=[1, 0, 0, 0, 0.9, 0]), "two directions of length 1 at a right angle"),
        (one(2, PixelSpacing=[float("nan"), 1]), rf"PixelSpacing of '.*{THIRD}' to be 2 numbers"),
        (every(PixelSpacing=[0, 0]), "PixelSpacing of '.*' to be two sizes in mm, but got 0 and 0"),
        (every(PixelSpacing=[-0.8, 0.6]), "but got -0.8 and 0.6"),
        (one(2, Rows=0), rf"Rows of '.*{THIRD}' to be at least 1"),
    ],
)
def test_refused_in_one_sentence(change: Any, message: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_series(tmp_path / "series", 0.0, change)
        with pytest.raises(ValueError, match=message) as refused:
            read_series(tmp_path / "series")
    assert "\n" not in str(refused.value)


def test_directions_of_three_digits(tmp_path: Path) -> None:
    write_series(tmp_path / "series", 0.0, every(ImageOrientationPatient=[0.707, 0.707, 0, -0.707, 0.707, 0]))
    assert read_series(tmp_path / "series").volume.shape == (1, *SHAPE)


def test_a_copy_of_one_slice(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    shutil.copy(tmp_path / "series" / "003.dcm", tmp_path / "series" / "copy of 003.dcm")
    with pytest.raises(ValueError, match=r"003\.dcm' and '.*copy of 003\.dcm' are copies of one image"):
        read_series(tmp_path / "series")


@pytest.mark.parametrize("lost", [1, 3])
def test_a_slice_that_is_missing(lost: int, tmp_path: Path) -> None:
    write_series(tmp_path / "series", 20.0, lambda slices: slices.pop(lost))
    with pytest.raises(ValueError, match=rf"5\.000 mm after slice {lost - 1}.*look behind '.*\.dcm'"):
        read_series(tmp_path / "series")


def test_what_is_no_dicom_is_named(tmp_path: Path) -> None:
    """A slice that lost its first bytes, and has no ending, looks like any other file."""
    write_series(tmp_path / "series")
    last = sorted((tmp_path / "series").iterdir(), key=lambda file: dcmread(file).ImagePositionPatient[2])[-1]
    last.rename(last.with_name("IM6"))
    last.with_name("IM6").write_bytes(last.with_name("IM6").read_bytes()[200:])
    (tmp_path / "series" / "DICOMDIR").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 6 entries of '.*' are no DICOM files and were passed over: IM6"):
        found = read_series(tmp_path / "series")
    assert found.volume.shape[-1] == SHAPE[2] - 1


def test_a_folder_of_nothing_else_is_read_without_a_word(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_series(tmp_path / "series")


@pytest.mark.parametrize(("thickness", "size"), [(4.0, 4.0), (None, 1.0)])
def test_a_single_slice(thickness: float | None, size: float, tmp_path: Path) -> None:
    def change(slices: list[Any]) -> None:
        del slices[1:]
        one(0, SliceThickness=thickness)(slices)

    write_series(tmp_path / "series", 0.0, change)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = read_series(tmp_path / "series")
    assert sum("without SliceThickness: 1 mm is taken" in str(w.message) for w in caught) == (thickness is None)
    np.testing.assert_allclose(np.linalg.norm(found.volume.affine[:3, 2]), size)


@pytest.mark.parametrize("thickness", [0, -2, float("nan")])
def test_a_single_slice_of_no_thickness(thickness: float, tmp_path: Path) -> None:
    def change(slices: list[Any]) -> None:
        del slices[1:]
        slices[0].SliceThickness = thickness

    write_series(tmp_path / "series", 0.0, change)
    with pytest.raises(ValueError, match=r"SliceThickness of '.*000\.dcm' to be a"):
        read_series(tmp_path / "series")
