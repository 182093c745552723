"""Text in all letters, whatever character set the images name: it comes back as it was, or is refused by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from monai_rwcp.dicom import Anatomy, Segment, Series, read_series, write_scores, write_sets
from monai_rwcp.dicom.texts import checked_text, line_of
from tests.helpers.dicom_series import SHAPE, write_series

BLOB = torch.zeros(SHAPE, dtype=torch.uint8)
BLOB[4:7, 2:5, 1:4] = 1

TEXTS = ["heart, outer", "äußere Menge", "心臓 外側", "Печень, внешняя", "قلب", "α-β, ½"]  # noqa: RUF001

SOURCES = [
    (None, "Phantom^One"),
    ("", "Phantom^One"),
    ("ISO_IR 6", "Phantom^One"),
    ("ISO_IR 100", "Prüfkörper^Größe"),
    ("ISO_IR 144", "Фантом^Один"),
    ("ISO_IR 192", "Фантом^心臓"),
    ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Müller^Hans"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
]


def source(folder: Path, charset: Any, patient: str, study: str = "Chest") -> Series:
    def change(slices: list[Any]) -> None:
        for d in slices:
            if charset is not None:
                d.SpecificCharacterSet = charset
            d.PatientName, d.StudyDescription = patient, study
            item = Dataset()
            item.PatientID, item.TypeOfPatientID, item.IssuerOfPatientID = "2", "TEXT", study
            d.OtherPatientIDsSequence = Sequence([item])

    write_series(folder, 0.0, change)
    return read_series(folder)


def segment(text: str) -> Segment:
    return Segment(text, Anatomy("80891009", "SCT", text), BLOB)


@pytest.mark.parametrize(("charset", "patient"), SOURCES)
def test_all_letters_beside_every_character_set(charset: Any, patient: str, tmp_path: Path) -> None:
    series, out = source(tmp_path / "series", charset, patient), tmp_path / "seg.dcm"
    for text in TEXTS:
        promise = f"{text}: 10 %. " * 20
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            write_sets(out, series, [segment(text)], promise=promise)
            found = dcmread(out)
            assert found.SegmentSequence[0].SegmentLabel == text
            assert found.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == text
            assert found.ImageComments == promise.strip()
            assert found.SegmentSequence[0].SegmentDescription == promise.strip()
            assert str(found.PatientName) == patient
        assert found.SpecificCharacterSet == "ISO_IR 192"


def test_text_of_items_is_told_anew(tmp_path: Path) -> None:
    """Text within sequences lies in the image's bytes, and is not to be copied as bytes."""
    write_sets(
        tmp_path / "seg.dcm", source(tmp_path / "s", "ISO_IR 100", "A^B", "Schädel"), [segment("心")], promise="p"
    )
    found = dcmread(tmp_path / "seg.dcm")
    assert found.StudyDescription == "Schädel"
    assert found.OtherPatientIDsSequence[0].IssuerOfPatientID == "Schädel"


def test_letters_without_a_character_set(tmp_path: Path) -> None:
    """They are kept byte by byte beside plain text, and refused beside other letters: nobody can tell what they are."""
    series, out = source(tmp_path / "series", None, "Müller^Hans"), tmp_path / "seg.dcm"
    write_sets(out, series, [segment("heart")], promise="p")
    assert b"M\xfcller^Hans" in out.read_bytes()
    assert "SpecificCharacterSet" not in dcmread(out)
    out.unlink()
    with pytest.raises(
        ValueError, match=r"Patient's Name of '.*\.dcm' has letters .* no character set .*'Herz, äußere'"
    ):
        write_sets(out, series, [segment("Herz, äußere")], promise="p")
    with pytest.raises(ValueError, match="no character set"):
        write_scores(out, series, [Segment("heart", Anatomy("1", "99X", "Heart"), BLOB.float())], description="Größe")
    assert not out.exists()


@pytest.mark.parametrize(("told", "name"), [("ISO_IR 192", "ISO_IR 192"), ("KOI8", "KOI8")])
def test_bytes_that_are_not_of_the_named_character_set(told: str, name: str, tmp_path: Path) -> None:
    """The images name a character set, and their text is in another, or nobody knows the one they name."""
    source(tmp_path / "series", "ISO_IR 100", "Müller^Hans")
    for file in (tmp_path / "series").iterdir():
        raw = file.read_bytes()
        assert raw.count(b"ISO_IR 100") == 1
        file.write_bytes(raw.replace(b"ISO_IR 100", told.encode().ljust(10)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=rf"cannot be read in its character set, {name}"):
            write_sets(tmp_path / "seg.dcm", read_series(tmp_path / "series"), [segment("heart")], promise="p")
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize("told", [None, "ISO_IR 6", "ISO_IR 100"])
def test_escapes_to_a_character_set_that_is_not_named(told: str | None, tmp_path: Path) -> None:
    raw = b"Yamada^Tarou=" + "山田^太郎".encode("iso2022_jp")
    source(tmp_path / "series", told, "Q" * len(raw))
    for file in (tmp_path / "series").iterdir():
        file.write_bytes(file.read_bytes().replace(b"Q" * len(raw), raw))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=f"Patient's Name of .* in its character set, {told or 'none'}"):
            write_sets(tmp_path / "seg.dcm", read_series(tmp_path / "series"), [segment("heart")], promise="p")
    assert not (tmp_path / "seg.dcm").exists()


@pytest.mark.parametrize(
    "text", ["", "  ", "a\\b", "a\nb", "a\x1bb", "a\ud800b", "caf\N{REPLACEMENT CHARACTER}", "h" * 65]
)
def test_text_that_would_not_come_back(text: str, tmp_path: Path) -> None:
    series, out = source(tmp_path / "series", "ISO_IR 100", "A^B"), tmp_path / "seg.dcm"
    heart = Anatomy("80891009", "SCT", "Heart")
    for bad in (Segment(text, heart, BLOB), Segment("heart", Anatomy("80891009", "SCT", text), BLOB)):
        with pytest.raises(
            ValueError, match="Expected the (label of a segment|meaning of the code of 'heart') "
        ) as refused:
            write_sets(out, series, [bad], promise="p")
        assert "\n" not in str(refused.value)
    assert not out.exists()


def test_lines_and_paragraphs() -> None:
    assert checked_text(" Größe ", "it") == "Größe"
    assert checked_text("two\r\nlines \\", "it", 1024) == "two\r\nlines \\"
    with pytest.raises(ValueError, match="1 to 1024 characters"):
        checked_text("p" * 1025, "it", 1024)
    assert line_of("h" * 64) == "h" * 64
    for long in ("h" * 65, "word " * 30, "two\nlines", "a\\b"):
        assert len(line_of(long)) <= 64
        assert line_of(long).endswith("... (whole: Image Comments)")
        assert not set(line_of(long)) & set("\\\n")
