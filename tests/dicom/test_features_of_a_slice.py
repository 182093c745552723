"""`monai-rwcp features` of DICOM: the values that a series has, or one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from monai.transforms import LoadImage

from monai_rwcp.cli import main
from monai_rwcp.dicom import read_series
from monai_rwcp.dicom.series import read_slice
from tests.helpers.dicom_series import write_series


def features(image: Path, out: Path) -> Result:
    return CliRunner().invoke(main, ["features", str(image), "--extractor", "mind", "--out", str(out)])


def test_values_are_those_of_the_series_and_of_monai(tmp_path: Path) -> None:
    write_series(tmp_path / "series", 20.0, in_order=True)
    series = read_series(tmp_path / "series")
    for number, dataset in enumerate(series.slices):
        found = read_slice(dataset.filename)
        np.testing.assert_array_equal(found.numpy(), series.volume[..., number].numpy())
        of_monai: Any = LoadImage(reader="PydicomReader", ensure_channel_first=True)(dataset.filename)
        np.testing.assert_array_equal(found.numpy(), of_monai.numpy().reshape(found.shape))
        np.testing.assert_allclose(found.pixdim[:2], [0.6, 0.8])


def test_a_slice_is_drawn(tmp_path: Path) -> None:
    write_series(tmp_path / "series")
    ran = features(tmp_path / "series" / "000.dcm", tmp_path / "out.png")
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "out.png").stat().st_size


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PhotometricInterpretation", "PALETTE COLOR", "palettes and colours are no grey values"),
        ("RescaleSlope", None, "it has an empty RescaleSlope"),
        ("NumberOfFrames", 3, "several frames"),
        ("PixelData", b"\0\0", "cannot be read"),
    ],
)
def test_what_is_no_grey_slice(name: str, value: Any, message: str, tmp_path: Path) -> None:
    write_series(tmp_path / "series", 0.0, lambda slices: setattr(slices[0], name, value))
    ran = features(tmp_path / "series" / "000.dcm", tmp_path / "out.png")
    assert ran.exit_code == 1
    assert message in ran.output
    assert "000.dcm" in ran.output
    assert len(ran.output.strip().splitlines()) == 1
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("name", ["bad.json", "bad.dcm", "bad"])
@pytest.mark.parametrize("content", [b'{"a": 1}', b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 90])
@pytest.mark.filterwarnings("ignore")
def test_a_file_that_is_no_image(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    ran = features(tmp_path / name, tmp_path / "out.png")
    assert ran.exit_code == 1
    last = ran.output.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert name in last
    assert "Traceback" not in ran.output
    assert "force" not in last
