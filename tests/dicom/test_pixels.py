"""What stored values mean: bits, rescale, tables and palettes; right, or refused with the file's name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from monai_rwcp.dicom import read_series
from tests.helpers.dicom_series import SHAPE, Change, write_series

COLUMNS, ROWS, SLICES = SHAPE
STORED = (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) * 7 % 4096).astype(np.uint16)


def every(edit: Any) -> Change:
    """Change every slice, after each was given the same stored values of 12 bits."""

    def change(slices: list[Any]) -> None:
        for number, d in enumerate(slices):
            d.PixelData, d.BitsStored, d.HighBit, d.RescaleSlope = STORED.tobytes(), 12, 11, 1
            edit(d, number)

    return change


def one(number: int, edit: Any) -> Change:
    return every(lambda d, i: edit(d) if i == number else None)


def read(tmp_path: Path, change: Change) -> np.ndarray:
    write_series(tmp_path / "series", 0.0, change)
    found: np.ndarray = read_series(tmp_path / "series").volume.as_tensor()[0].numpy()
    return found


def same(found: np.ndarray, expected: np.ndarray) -> None:
    for number in range(SLICES):
        np.testing.assert_array_equal(found[..., number], expected.T.astype(np.float32))


def table(
    values: list[int], first: int = 0, bits: int = 16, *, packed: bool = False, entries: int | None = None
) -> Any:
    def edit(d: Any, number: int = 0) -> None:
        for name in ("RescaleSlope", "RescaleIntercept"):
            if name in d:
                delattr(d, name)
        lut = Dataset()
        signed = d.PixelRepresentation == 1
        lut.add_new(0x00283002, "SS" if signed else "US", [len(values) if entries is None else entries, first, bits])
        lut.ModalityLUTType = "HU"
        if packed:
            lut.add_new(0x00283006, "OW", np.array(values, dtype="<u2").tobytes())
        else:
            lut.add_new(0x00283006, "US", values)
        d.ModalityLUTSequence = Sequence([lut])

    return edit


def test_the_bits_of_the_header_and_no_others(tmp_path: Path) -> None:
    same(read(tmp_path, every(lambda d, i: None)), STORED - 1024.0)


def test_overlays_above_the_stored_bits(tmp_path: Path) -> None:
    def edit(d: Any, number: int) -> None:
        d.PixelData = (STORED | np.uint16(0x8000)).tobytes()

    same(read(tmp_path, every(edit)), STORED - 1024.0)


@pytest.mark.parametrize("signed", [False, True])
def test_twelve_bits_at_the_upper_end_of_the_word(signed: bool, tmp_path: Path) -> None:
    values = STORED.astype(np.int32) - 2048 * signed

    def edit(d: Any, number: int) -> None:
        d.HighBit, d.PixelRepresentation = 15, int(signed)
        d.PixelData = ((values & 0x0FFF).astype(np.uint16) << 4).tobytes()

    same(read(tmp_path, every(edit)), values - 1024.0)


def test_bits_that_contradict_the_header(tmp_path: Path) -> None:
    """One slice of six says HighBit 15, and its values lie at the lower end."""
    with pytest.raises(ValueError, match=r"slice in '.*\.dcm' cannot be read: 12 stored bits up to HighBit 15"):
        read(tmp_path, one(3, lambda d: setattr(d, "HighBit", 15)))


@pytest.mark.parametrize(("name", "value"), [("HighBit", 10), ("BitsStored", 17), ("BitsAllocated", 12)])
def test_bits_that_do_not_fit(name: str, value: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"BitsAllocated of '.*\.dcm'"):
        read(tmp_path, one(3, lambda d: setattr(d, name, value)))


def test_rows_that_the_header_leaves_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="280 bytes, but 9 rows of 14 columns are 252"):
        read(tmp_path, every(lambda d, i: setattr(d, "Rows", ROWS - 1)))


def test_rescale_of_each_slice_is_its_own(tmp_path: Path) -> None:
    def edit(d: Any, number: int) -> None:
        d.RescaleSlope, d.RescaleIntercept = 0.5 * (number + 1), 10 * number

    found = read(tmp_path, every(edit))
    for number in range(SLICES):
        np.testing.assert_array_equal(found[..., number], (STORED * 0.5 * (number + 1) + 10 * number).T)


def test_an_inverted_look_leaves_values_alone(tmp_path: Path) -> None:
    def edit(d: Any, number: int) -> None:
        d.PhotometricInterpretation, d.PresentationLUTShape = "MONOCHROME1", "INVERSE"

    same(read(tmp_path, every(edit)), STORED - 1024.0)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("first", [0, 100])
def test_a_table_is_applied(packed: bool, first: int, tmp_path: Path) -> None:
    values = [1000 + 3 * value for value in range(256)]
    expected = np.array(values)[np.clip(STORED.astype(int) - first, 0, 255)]
    same(read(tmp_path, every(table(values, first, packed=packed))), expected)


def test_a_table_of_signed_values(tmp_path: Path) -> None:
    values = [5 * value for value in range(4096)]

    def edit(d: Any, number: int) -> None:
        d.PixelRepresentation = 1
        d.PixelData = ((STORED.astype(np.int16) - 2048).astype(np.uint16) & 0x0FFF).tobytes()
        table(values, -2048, packed=True)(d)

    same(read(tmp_path, every(edit)), STORED * 5.0)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (table([1, 2, 3], entries=4), "ModalityLUTSequence of .* to hold 4 values of 16 bits, but it holds 3"),
        (table([1, 2, 300], bits=8), "to hold 3 values of 8 bits, but it holds 3 from 1 to 300"),
        (lambda d, i=0: setattr(d, "ModalityLUTSequence", Sequence([])), "ModalityLUTSequence and RescaleSlope"),
        (lambda d, i=0: setattr(d, "ModalityLUTSequence", Sequence([Dataset()])), "ModalityLUTSequence and RescaleSl"),
    ],
)
def test_a_table_that_is_none(edit: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, every(edit))


def test_a_table_in_one_slice_of_six(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"do not share one scale: .* has a rescale, .* a Modality LUT"):
        read(tmp_path, one(5, table([1000 + value for value in range(4096)])))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda d: (delattr(d, "RescaleSlope"), delattr(d, "RescaleIntercept")),
            "do not share one scale: .*no rescale",
        ),
        (lambda d: delattr(d, "RescaleSlope"), "rescale of .* is not whole: it has no RescaleSlope"),
        (lambda d: delattr(d, "RescaleIntercept"), "it has no RescaleIntercept"),
        (lambda d: setattr(d, "RescaleSlope", None), "it has an empty RescaleSlope"),
        (lambda d: setattr(d, "RescaleSlope", 0), "RescaleSlope of .* is 0"),
        (lambda d: setattr(d, "RescaleIntercept", float("nan")), "RescaleIntercept of .* but got nan"),
        (lambda d: setattr(d, "RescaleType", "US"), "differ in RescaleType"),
        (lambda d: setattr(d, "PhotometricInterpretation", "PALETTE COLOR"), "PALETTE COLOR: the values of palettes"),
        (lambda d: delattr(d, "PhotometricInterpretation"), "MONOCHROME2, but got none"),
    ],
)
def test_one_slice_of_six_on_another_scale(edit: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        read(tmp_path, one(4, edit))
    # It was written under this name.
    assert "006.dcm" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("modality", "said"), [("CT", 1), ("MR", 0)])
def test_no_rescale_at_all_is_told_in_ct(modality: str, said: int, tmp_path: Path) -> None:
    def edit(d: Any, number: int) -> None:
        d.Modality = modality
        del d.RescaleSlope, d.RescaleIntercept

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        same(read(tmp_path, every(edit)), STORED)
    assert sum("Hounsfield" in str(warning.message) for warning in caught) == said
