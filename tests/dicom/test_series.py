"""Series against MONAI's own reader, and series that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.transforms import LoadImage

from monai_rwcp.dicom import read_series
from tests.helpers.dicom_series import SHAPE, hounsfield, turned, write_series


@pytest.mark.parametrize("degrees", [0.0, 20.0, -35.0])
def test_values_and_geometry_are_those_of_monai(degrees: float, tmp_path: Path) -> None:
    # MONAI sorts by instance number.
    write_series(tmp_path / "series", degrees, in_order=True)
    found = read_series(tmp_path / "series")
    assert found.volume.shape == (1, *SHAPE)
    np.testing.assert_array_equal(found.volume.numpy()[0], np.rint((hounsfield() + 1024) / 2) * 2 - 1024)
    expected = LoadImage(reader="PydicomReader", ensure_channel_first=True)(tmp_path / "series")
    np.testing.assert_array_equal(found.volume.numpy(), expected.numpy())
    np.testing.assert_allclose(found.volume.affine.numpy(), expected.affine.numpy(), atol=1e-4)


def test_every_voxel_lies_where_the_standard_says(series_folder: Path) -> None:
    found = read_series(series_folder)
    row, column, normal = turned(20.0)
    for index in ((0, 0, 0), (3, 7, 2), (13, 9, 5)):
        # Of DICOM's equation C.7.6.2.1-1, then from LPS to RAS.
        place = np.array([-30.0, -20, 11]) + 0.6 * index[0] * row + 0.8 * index[1] * column + 2.5 * index[2] * normal
        np.testing.assert_allclose((found.volume.affine.numpy() @ [*index, 1])[:3], place * [-1, -1, 1], atol=1e-4)
    assert [int(d.InstanceNumber) for d in found.slices] == [(5 * z) % 7 + 1 for z in range(SHAPE[2])]


def _set(number: int, **values: Any) -> Any:
    def change(slices: list[Any]) -> None:
        for name, value in values.items():
            setattr(slices[number], name, value)

    return change


def _delete(number: int, name: str) -> Any:
    return lambda slices: delattr(slices[number], name)


def _shift(slices: list[Any]) -> None:
    for number, d in enumerate(slices):
        x, y, z = d.ImagePositionPatient
        d.ImagePositionPatient = [float(x) + 0.5 * number, y, z]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda slices: slices.pop(3), "not evenly apart: 5.000 mm after slice 2, 2.500 mm usually"),
        (_set(2, SeriesInstanceUID="1.2.3"), "holds 2 series"),
        (_set(2, ImagePositionPatient=[-30.0, -20, 11]), "lie at one place"),
        (_set(0, ImageOrientationPatient=[0.0, 1, 0, 0, 0, 1]), "differ in ImageOrientationPatient"),
        (_set(1, PixelSpacing=[0.8, 0.7]), "differ in PixelSpacing"),
        (_delete(1, "ImagePositionPatient"), "1 of 6 images .* have no ImagePositionPatient"),
        (_set(1, SamplesPerPixel=3), "several frames or colours"),
        (_shift, "shifted against each other by 0.500 mm a step"),
        (_delete(4, "PixelData"), "a DICOM file without pixels: truncated"),
        (_set(4, PixelData=b"\0\0"), "pixels of a slice .* cannot be read"),
    ],
)
def test_what_is_no_series(change: Any, message: str, tmp_path: Path) -> None:
    write_series(tmp_path / "series", 0.0, change)
    with pytest.raises(ValueError, match=message):
        read_series(tmp_path / "series")


def test_a_folder_without_a_series_and_a_truncated_file(series_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_series(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(FileNotFoundError, match="No DICOM image"):
        read_series(tmp_path / "empty")
    file = series_folder / "000.dcm"
    whole = file.read_bytes()
    for share in (0.9, 0.5, 0.1, 0.0):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match="cannot be read|truncated"):
            read_series(series_folder)
