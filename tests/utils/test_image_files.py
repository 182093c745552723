"""NIfTI, NRRD and MHA files by one reader: values, places in mm, and what is refused."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from monai_rwcp.folders import read_map
from monai_rwcp.utils.image_files import read_image_file
from tests.helpers.image_files import itk, nifti

SHAPE = (6, 5, 4)
OBLIQUE = np.array([[0, -1.6, 0.6, -10], [1.2, 0, 0, 20], [0, 1.2, 0.8, 30.5], [0, 0, 0, 1]])
ENDINGS = ["nii.gz", "nrrd", "mha"]


def values(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape or SHAPE).astype(np.float32)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("packed", [True, False])
def test_volumes_lie_where_nibabel_puts_them(ending: str, packed: bool, tmp_path: Path) -> None:
    one = read_image_file(nifti(tmp_path / "one.nii", values(), OBLIQUE))
    other = read_image_file(itk(tmp_path / f"other.{ending}", values(), OBLIQUE, packed=packed))
    np.testing.assert_array_equal(one.values, values())
    np.testing.assert_array_equal(other.values, values())
    np.testing.assert_allclose(one.affine, OBLIQUE, atol=1e-5)
    np.testing.assert_allclose(other.affine, OBLIQUE, atol=1e-5)
    capitals = tmp_path / f"OTHER.{ending.upper()}"
    (tmp_path / f"other.{ending}").rename(capitals)
    np.testing.assert_array_equal(read_image_file(capitals).values, values())


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 5, 1, 3), (6, 5, 4, 2), (6, 5, 3)])
def test_vector_images_are_maps_with_channels_last(ending: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    straight = np.diag([1.5, 2, 3, 1])
    path = itk(tmp_path / f"m.{ending}", values(*shape), straight, vector=True)
    found = read_map(path, "channels-last")
    spatial = [n for n in shape[:-1] if n > 1]
    np.testing.assert_array_equal(found.numpy(), np.moveaxis(values(*shape), -1, 0).reshape(shape[-1], *spatial))
    np.testing.assert_allclose(found.affine[:2, :2], straight[:2, :2])
    for form in ("channels-first", "one-class"):
        with pytest.raises(ValueError, match=rf"Expected \[.*\] in '{path}', but its shape is"):
            read_map(path, form)  # type: ignore[arg-type]


def test_nifti_of_five_axes(tmp_path: Path) -> None:
    for shape, intent in (((6, 5, 4, 1, 3), "vector"), ((6, 5, 4, 1, 3), "none"), ((6, 5, 4, 3, 1), "none")):
        image = nibabel.Nifti1Image(values(*shape), OBLIQUE)
        image.header.set_intent(intent)
        nibabel.save(image, tmp_path / "v.nii.gz")
        assert nibabel.load(tmp_path / "v.nii.gz").shape == shape
        found = read_map(tmp_path / "v.nii.gz", "channels-last")
        np.testing.assert_array_equal(found.numpy(), np.moveaxis(values(*shape).reshape(6, 5, 4, 3), -1, 0))
    # Two points in time.
    with pytest.raises(ValueError, match="v.nii.gz', but its shape is .*Points in time belong into files of their own"):
        read_map(nifti(tmp_path / "v.nii.gz", values(6, 5, 4, 2, 3), OBLIQUE), "channels-last")


@pytest.mark.parametrize(
    ("unit", "mm", "name"),
    [
        ("mm", 1.0, "mm"),
        ("micron", 1e-3, "micron"),
        ("meter", 1e3, "meter"),
        (0, 1.0, "unknown"),
        (3 + 8, 1e-3, "micron"),
    ],
)
@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_lengths_are_in_mm(unit: str | int, mm: float, name: str, ending: str, tmp_path: Path) -> None:
    read = read_image_file(nifti(tmp_path / f"a.{ending}", values(), OBLIQUE, unit))
    np.testing.assert_allclose(read.affine[:3], mm * OBLIQUE[:3], rtol=1e-5)
    np.testing.assert_array_equal(read.affine[3], [0, 0, 0, 1])
    assert read.unit == name


@pytest.mark.parametrize("unit", [4, 5, 7, 6 + 16])
def test_units_that_there_are_not(unit: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"a.nii' tells lengths in a unit of the number {unit & 7}"):
        read_image_file(nifti(tmp_path / "a.nii", values(), OBLIQUE, unit))


def test_headers_that_put_voxels_nowhere(tmp_path: Path) -> None:
    for broken in (np.diag([1.0, 1, 0, 1]), np.diag([1.0, np.nan, 1, 1])):
        path = nifti(tmp_path / "a.nii", values(), np.eye(4))
        image = nibabel.load(path)
        image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = broken[:3]
        raw = bytearray(path.read_bytes())
        raw[:348] = image.header.binaryblock
        path.write_bytes(bytes(raw))
        with pytest.raises(ValueError, match="a.nii' does not tell where its voxels lie"):
            read_image_file(path)


def test_values_that_are_no_real_numbers(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", values().astype(np.complex64), np.eye(4))
    with pytest.raises(ValueError, match="Expected real numbers in '.*a.nii'"):
        read_image_file(path)
    colours = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(ValueError, match="Expected real numbers in '.*a.nii'"):
        read_image_file(nifti(tmp_path / "a.nii", colours, np.eye(4)))


def flipped(at: float) -> Callable[[bytes], bytes]:
    def damage(raw: bytes) -> bytes:
        start = len(raw) - 300
        place = start + int(at * 300)
        return raw[:place] + bytes([raw[place] ^ 16]) + raw[place + 1 :]

    return damage


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
def test_damaged_streams_are_never_other_values(ending: str, tmp_path: Path) -> None:
    path = itk(tmp_path / f"a.{ending}", values(), OBLIQUE)
    whole = path.read_bytes()
    for at in np.linspace(0, 1, 25, endpoint=False):
        path.write_bytes(flipped(at)(whole))
        with pytest.raises(ValueError, match=rf"a.{ending}' cannot be read; it may be truncated, damaged") as refused:
            read_image_file(path)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("ending", ["nrrd", "mha"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    "cut", [lambda raw: raw[:-5], lambda raw: raw[:40], lambda raw: b"", lambda raw: bytes(348) + raw[-500:]]
)
def test_files_that_are_cut(cut: Callable[[bytes], bytes], packed: bool, ending: str, tmp_path: Path) -> None:
    path = itk(tmp_path / f"a.{ending}", values(), OBLIQUE, packed=packed)
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(ValueError, match=f"a.{ending}'") as refused:
        read_image_file(path)
    assert "\n" not in str(refused.value)


def test_a_header_that_tells_of_fewer_values(tmp_path: Path) -> None:
    for ending, line in (("nrrd", b"sizes: 6 5 4"), ("mha", b"DimSize = 6 5 4")):
        path = itk(tmp_path / f"a.{ending}", values(), OBLIQUE)
        raw = path.read_bytes()
        assert line in raw
        path.write_bytes(raw.replace(line, line[:-1] + b"3"))
        with pytest.raises(ValueError, match=f"a.{ending}' cannot be read"):
            read_image_file(path)


@pytest.mark.parametrize(
    ("ending", "before", "more", "message"),
    [
        ("nrrd", b"encoding: ", b'space units: "um" "um" "um"\n', "Expected lengths in mm in .* but its header tells them in um"),
        ("mha", b"DimSize", b"DistanceUnits = um\n", "Expected lengths in mm in .* but its header tells them in um"),
        ("nrrd", b"encoding: ", b'space units: "mm" "mm" "mm"\n', ""),
        ("mha", b"DimSize", b"DistanceUnits = mm\n", ""),
        ("nrrd", b"encoding: ", b"data file: other.raw\n", "lie in another file"),
    ],
)  # fmt: skip
def test_lengths_and_places_of_values(ending: str, before: bytes, more: bytes, message: str, tmp_path: Path) -> None:
    path = itk(tmp_path / f"a.{ending}", values(), OBLIQUE)
    path.write_bytes(path.read_bytes().replace(before, more + before, 1))
    if not message:
        np.testing.assert_array_equal(read_image_file(path).values, values())
        return
    with pytest.raises(ValueError, match=message):
        read_image_file(path)


def test_values_in_another_file_are_not_looked_for(tmp_path: Path) -> None:
    itk(tmp_path / "a.mhd", values(), OBLIQUE, packed=False)
    (tmp_path / "a.mhd").rename(tmp_path / "a.mha")
    with pytest.raises(ValueError, match="a.mha' do not follow its header"):
        read_image_file(tmp_path / "a.mha")


def test_four_axes_without_a_vector(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(values(3, 6, 5, 4), isVector=False)  # [t, z, y, x]
    for ending in ("nrrd", "mha"):
        SimpleITK.WriteImage(image, str(tmp_path / f"a.{ending}"))
        found = read_image_file(tmp_path / f"a.{ending}")
        np.testing.assert_array_equal(found.values, values(3, 6, 5, 4).T)
        assert not found.is_vector


def test_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path, other = itk(tmp_path / "a.nrrd", values(), OBLIQUE), nifti(tmp_path / "a.nii", values(), OBLIQUE)
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "SimpleITK":
            raise ModuleNotFoundError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=re.escape('a.nrrd\' needs SimpleITK: pip install "monai-rwcp[simpleitk]"')):
        read_image_file(path)
    np.testing.assert_array_equal(read_image_file(other).values, values())
