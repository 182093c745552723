"""What a segmentation object takes over from images whose headers are de-identified, sparse or not well formed."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from monai_rwcp.dicom import Anatomy, Segment, read_series, write_sets
from tests.helpers.dicom_series import SHAPE, Change, read_back, write_series

BLOB = torch.zeros(SHAPE, dtype=torch.uint8)
BLOB[4:7, 2:5, 1:4] = 1
HEART = Segment("heart", Anatomy("80891009", "SCT", "Heart"), BLOB)
OF_PATIENT = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator", "Manufacturer", "SeriesNumber"),
    *("InstanceNumber", "ImageType", "SliceThickness"),
)


def every(edit: Any) -> Change:
    return lambda slices: [edit(d) for d in slices]


def written(tmp_path: Path, change: Change) -> Any:
    write_series(tmp_path / "series", 20.0, change)
    series = read_series(tmp_path / "series")
    write_sets(tmp_path / "seg.dcm", series, [HEART], promise="p")
    assert (read_back(tmp_path / "seg.dcm", series)["heart"] == BLOB.numpy()).all()
    return dcmread(tmp_path / "seg.dcm")


def errors(path: Path) -> list[str]:
    if shutil.which("dciodvfy") is None:
        return []
    ran = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("how", ["removed", "emptied"])
def test_nobody_is_named(how: str, tmp_path: Path) -> None:
    def edit(d: Any) -> None:
        for name in OF_PATIENT:
            if how == "removed":
                delattr(d, name)
            else:
                setattr(d, name, None)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = written(tmp_path, every(edit))
    assert not found.PatientName
    assert not found.PatientID
    assert found.StudyInstanceUID
    assert not errors(tmp_path / "seg.dcm")


def test_a_patient_stays_one_patient(tmp_path: Path) -> None:
    """Values that the standard does not know are the patient's all the same, and nothing is told of a name in one part."""

    def edit(d: Any) -> None:
        d.PatientName, d.PatientID, d.PatientSex = "ANON0001", " 0007", "D"
        d.PatientBirthDate, d.StudyTime = "1970-01-01", "12:00:00"

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = written(tmp_path, every(edit))
    assert (found.PatientName, found.PatientSex, found.PatientBirthDate) == ("ANON0001", "D", "1970-01-01")
    assert found.StudyTime == "12:00:00"
    assert found.PatientID.strip() == "0007"
    assert not [warning for warning in caught if "single component" in str(warning.message)]


def test_what_is_damaged_and_not_needed_is_named_and_left_out(tmp_path: Path) -> None:
    def edit(d: Any) -> None:
        d.add_new(0x00101010, "US", 56)
        d._dict[Tag(0x00101030)] = RawDataElement(Tag(0x00101030), "DS", 4, b"70,5", 0, False, True)

    with pytest.warns(UserWarning, match=r"1 attributes of '.*\.dcm' are damaged .* PatientAge"):
        found = written(tmp_path, every(edit))
    assert "PatientAge" not in found
    assert found.PatientWeight == "70,5"


@pytest.mark.parametrize(
    "name", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID"]
)
@pytest.mark.parametrize("value", [None, "", "anonymous"])
def test_images_that_cannot_be_referred_to(name: str, value: str | None, tmp_path: Path) -> None:
    def edit(d: Any) -> None:
        if value is None:
            delattr(d, name)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                setattr(d, name, value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=rf"{name}.*\.dcm|\.dcm.*{name}|copies of one image"):
            written(tmp_path, every(edit))
    assert not (tmp_path / "seg.dcm").exists()


def test_an_unknown_kind_of_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"SOPClassUID of '.*' is 1\.2\.3, no kind of image"):
        written(tmp_path, every(lambda d: setattr(d, "SOPClassUID", "1.2.3")))


@pytest.mark.parametrize(
    ("name", "values"), [("ImageOrientationPatient", [1, 0, 0.00005, 0, 1, 0]), ("PixelSpacing", [0.80005, 0.6])]
)
def test_one_slice_that_is_rounded_in_another_way(name: str, values: list[float], tmp_path: Path) -> None:
    write_series(tmp_path / "series", 0.0, lambda slices: setattr(slices[3], name, values))
    series = read_series(tmp_path / "series")
    write_sets(tmp_path / "seg.dcm", series, [HEART], promise="p")
    assert (read_back(tmp_path / "seg.dcm", series)["heart"] == BLOB.numpy()).all()
