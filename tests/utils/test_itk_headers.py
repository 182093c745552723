"""Headers of NRRD and MHA files that are almost right, or right and written by others."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from monai_rwcp.utils.image_files import read_image_file
from tests.helpers.image_files import itk

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
VALUES = np.random.default_rng(0).integers(0, 200, (6, 5, 4)).astype(np.uint8)


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_no_flipped_bit_of_a_header_gives_other_values(ending: str, tmp_path: Path) -> None:
    """A name in it that is misspelled, such as CompressedDataSize, makes SimpleITK read something else."""
    path = itk(tmp_path / f"a.{ending}", VALUES, AFFINE)
    whole, expected = path.read_bytes(), read_image_file(path).values
    head = whole.index(b"\n\n" if ending == "nrrd" else b"ElementDataFile")
    for at in range(1, head, 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with suppress(ValueError):
            np.testing.assert_array_equal(read_image_file(path).values, expected)


@pytest.mark.parametrize("line", [b"ElementDataFile=LOCAL\n", b"ElementDataFile = LOCAL\r\n"])
def test_headers_of_other_writers_of_mha(line: bytes, tmp_path: Path) -> None:
    path = itk(tmp_path / "a.mha", VALUES, AFFINE)
    path.write_bytes(path.read_bytes().replace(b"ElementDataFile = LOCAL\n", line))
    np.testing.assert_array_equal(read_image_file(path).values, VALUES)


@pytest.mark.parametrize("sizes", ["{3} {0} {1} {2}", "{0} {1} {2} {3}"])
def test_vectors_before_and_behind_the_axes_of_space_in_nrrd(sizes: str, tmp_path: Path) -> None:
    found = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)
    first = sizes.startswith("{3}")
    axes = ["domain"] * 3, ["(1,0,0)", "(0,1,0)", "(0,0,2)"]
    kinds, ways = (([one, *of] if first else [*of, one]) for of, one in zip(axes, ("list", "none"), strict=True))
    stored = found.transpose(2, 1, 0, 3) if first else found.transpose(3, 2, 1, 0)
    header = [
        "NRRD0004",
        "type: float",
        "dimension: 4",
        "space: left-posterior-superior",
        f"sizes: {sizes.format(*found.shape)}",
        f"space directions: {' '.join(ways)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
    ]
    path = tmp_path / "a.nrrd"
    path.write_bytes("\n".join([*header, "", ""]).encode() + gzip.compress(stored.tobytes()))
    np.testing.assert_array_equal(read_image_file(path).values, found)
