"""Every attribute that is read, damaged in every way: a result, or one line that names file or series; nothing else."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("highdicom", reason="DICOM needs the extra dicom")

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from monai_rwcp.dicom import Anatomy, Segment, read_series, write_sets
from tests.helpers.dicom_series import SHAPE, read_back, write_series

ATTRIBUTES = (
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "Modality", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("PatientWeight", "OtherPatientIDsSequence", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator", "Manufacturer", "InstanceNumber"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns"),
    *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "PixelData"),
    *("LossyImageCompression", "LossyImageCompressionRatio"),
)

DAMAGE: dict[str, tuple[str, Any] | None] = {
    "missing": None,
    "empty": ("", None),
    "words": ("LO", b"no number "),
    "nan": ("DS", b"NaN "),
    "inf": ("DS", b"-inf"),
    "absurd": ("DS", b"1e300 "),
    "seven": ("DS", b"1\\2\\3\\4\\5\\6\\7 "),
    "comma": ("DS", b"0,75"),
    "zero": ("US", 0),
    "negative": ("SS", -5),
    "large": ("US", 65535),
    "letters": ("LO", b"\xd0\xa4\xc3\xbc\x1b$B "),
    "long": ("LO", b"x" * 300),
    "items": ("SQ", [Dataset()]),
}

BLOB = torch.zeros(SHAPE, dtype=torch.uint8)
BLOB[4:7, 2:5, 1:4] = 1


def damage(dataset: Any, keyword: str, kind: str) -> None:
    tag = Tag(tag_for_keyword(keyword))
    if tag in dataset:
        del dataset[tag]
    how = DAMAGE[kind]
    if how is None:
        return
    vr, value = how
    if isinstance(value, bytes):
        dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    else:
        own = dictionary_VR(tag).split(" or ")[0]
        dataset.add(DataElement(tag, vr or own, Sequence(value) if vr == "SQ" else value))


def there_and_back(folder: Path, out: Path) -> str:
    """What is said of a series on its way to a segmentation object; nothing where all is well."""
    try:
        series = read_series(folder)
        write_sets(out, series, [Segment("heart", Anatomy("80891009", "SCT", "Heart"), BLOB)], promise="p")
    except ValueError as error:
        assert not out.exists()
        return str(error)
    assert np.isfinite(series.volume.numpy()).all()
    assert (read_back(out, series)["heart"] == BLOB.numpy()).all()
    out.unlink()
    return ""


def check(said: str, folder: Path) -> None:
    assert "\n" not in said
    assert "Traceback" not in said
    assert not said or str(folder) in said
    assert len(said) < 700


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("whole") / "series"
    write_series(folder, 20.0)
    return folder


@pytest.mark.parametrize("keyword", ATTRIBUTES)
@pytest.mark.filterwarnings("ignore")
def test_an_attribute(keyword: str, whole: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "series", tmp_path / "seg.dcm"
    assert there_and_back(whole, out) == ""
    kinds = list(DAMAGE)
    random.Random(keyword).shuffle(kinds)
    # Each kind once, in turn in one slice and in all.
    for number, kind in enumerate(kinds):
        shutil.copytree(whole, folder)
        for file in sorted(folder.iterdir())[: 1 if number % 2 else None]:
            dataset = dcmread(file)
            damage(dataset, keyword, kind)
            try:
                dataset.save_as(file)
            except Exception:
                break  # no writer makes such a file
        else:
            check(there_and_back(folder, out), folder)
        shutil.rmtree(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(40))
def test_bytes_of_a_header(seed: int, whole: Path, tmp_path: Path) -> None:
    folder, draw = tmp_path / "series", random.Random(seed)
    shutil.copytree(whole, folder)
    file = draw.choice(sorted(folder.iterdir()))
    raw = bytearray(file.read_bytes())
    header = raw.index(b"\xe0\x7f\x10\x00")
    for _ in range(draw.choice((1, 1, 3, 10))):
        raw[draw.randrange(128, header + 12)] = draw.randrange(256)
    file.write_bytes(bytes(raw[: draw.choice((len(raw), len(raw), draw.randrange(len(raw))))]))
    check(there_and_back(folder, tmp_path / "seg.dcm"), folder)
