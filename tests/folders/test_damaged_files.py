"""Files that were damaged on their way are refused by name, in one line, and never read as other values."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from monai_rwcp.folders import read_grid_file, read_map
from monai_rwcp.utils.image_files import read_image_file
from monai_rwcp.utils.unpacking import read_unpacked
from tests.helpers.map_folders import SHAPE, run, save, truth_and_map

Damage = Callable[[bytes], bytes]


def flipped(at: float) -> Damage:
    """One bit, in a share of the file."""

    def damage(packed: bytes) -> bytes:
        place = int(at * len(packed))
        return packed[:place] + bytes([packed[place] ^ 16]) + packed[place + 1 :]

    return damage


def one_value(packed: bytes) -> bytes:
    """One byte of one value differs, under the old check sum: nearly right."""
    raw = bytearray(gzip.decompress(packed))
    raw[-5] ^= 1
    return gzip.compress(bytes(raw))[:-8] + packed[-8:]


def other_size(packed: bytes) -> bytes:
    """The length at the end does not fit."""
    return packed[:-1] + bytes([packed[-1] ^ 1])


def zeros(packed: bytes) -> bytes:
    """A block of the disk that was never written."""
    half = len(packed) // 2
    return packed[:half] + bytes(200) + packed[half + 200 :]


DAMAGES: dict[str, Damage] = {
    "one value": one_value,
    "check sum": lambda packed: packed[:-8] + bytes(4) + packed[-4:],
    "size": other_size,
    "zeros": zeros,
    "cut": lambda packed: packed[: len(packed) // 2],
    "trailer cut": lambda packed: packed[:-3],
    "header only": lambda packed: packed[:8],
    "empty": lambda packed: b"",
    "something behind": lambda packed: packed + b"more",
    "something else": lambda packed: b"\x89PNG\r\n" + packed,
}


@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.parametrize("kind", ["map", "label", "set"])
def test_a_damaged_gzip(kind: str, what: str, tmp_path: Path) -> None:
    label, shares = truth_and_map(0)
    path = tmp_path / "c0.nii.gz"
    save({"map": shares, "label": label, "set": (shares > 0.5).astype(np.uint8)}[kind], path)
    like = read_map_of(shares, tmp_path)
    read = (lambda: read_grid_file(path, like)) if kind == "label" else (lambda: read_map(path, "channels-last"))
    read()
    path.write_bytes(DAMAGES[what](path.read_bytes()))
    with pytest.raises(ValueError, match="c0.nii.gz' cannot be read; it may be truncated, damaged") as refused:
        read()
    assert "\n" not in str(refused.value)


def read_map_of(shares: np.ndarray, folder: Path):
    save(shares, folder / "other" / "map.nii.gz")
    return read_map(folder / "other" / "map.nii.gz", "channels-last")


def test_no_flipped_bit_gives_other_values(tmp_path: Path) -> None:
    values = truth_and_map(0)[1]
    path = tmp_path / "c0.nii.gz"
    save(values, path)
    packed, whole = path.read_bytes(), read_image_file(path)
    refused = 0
    for at in np.linspace(0, 1, 80, endpoint=False):
        path.write_bytes(flipped(at)(packed))
        said = ""
        try:
            found = read_image_file(path)
        except ValueError as error:
            said = str(error)
        if said:
            assert "c0.nii.gz" in said
            refused += 1
        else:
            # Bits of the name or the time of packing, of which nothing is read.
            np.testing.assert_array_equal(found.values, whole.values)
            np.testing.assert_array_equal(found.affine, whole.affine)
    assert refused > 75


def test_whole_files_of_every_kind_are_read(tmp_path: Path) -> None:
    values = truth_and_map(0)[1]
    save(values, tmp_path / "a.nii.gz")
    save(values, tmp_path / "a.nii")
    raw = (tmp_path / "a.nii").read_bytes()
    # As pigz and bgzip write: several members, an empty one at the end; padded to the size of a block.
    half = len(raw) // 2
    (tmp_path / "parts.nii.gz").write_bytes(
        gzip.compress(raw[:half]) + gzip.compress(raw[half:]) + gzip.compress(b"") + bytes(512)
    )
    (tmp_path / "stored.nii.gz").write_bytes(gzip.compress(raw, compresslevel=0))
    import nibabel

    nibabel.save(nibabel.Nifti2Image(values, np.eye(4)), tmp_path / "two.nii.gz")
    swapped = nibabel.Nifti1Image(values, np.eye(4)).header.as_byteswapped(">" if np.little_endian else "<")
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4), swapped), tmp_path / "swapped.nii")
    for name in ("a.nii.gz", "a.nii", "parts.nii.gz", "stored.nii.gz", "two.nii.gz", "swapped.nii"):
        found = read_map(tmp_path / name, "channels-last")
        np.testing.assert_array_equal(found.numpy(), np.moveaxis(values, -1, 0))
    assert read_unpacked(tmp_path / "a.nii.gz") == raw


@pytest.mark.parametrize(
    ("offset", "content"),
    [
        (42, b"\xff\x7f\xff\x7f\xff\x7f"),  # more values than there is memory for
        (42, b"\x00\x00"),
        (42, b"\x13\x00"),  # one more along the first axis
        (40, b"\x63\x00"),  # 99 axes
        (70, b"\x99\x99"),  # a type that there is not
        (108, b"\x00\x00\xc0\x7f"),  # an offset of NaN
        (108, b"\x00\x00\x80\x4f"),  # values behind the end
        (344, b"abcd"),
    ],
)
def test_headers_that_cannot_be(offset: int, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "c0.nii"
    save(truth_and_map(0)[1], path)
    raw = path.read_bytes()
    path.write_bytes(raw[:offset] + content + raw[offset + len(content) :])
    with pytest.raises(ValueError, match="c0.nii' cannot be read") as refused:
        read_map(path, "channels-last")
    assert "\n" not in str(refused.value)


def test_npz_is_read_to_its_end(tmp_path: Path) -> None:
    shares = truth_and_map(0)[1]
    save(shares.argmax(-1).astype(np.uint8), tmp_path / "c0.nii.gz")
    path = tmp_path / "c0.npz"
    for write in (np.savez, np.savez_compressed):
        write(path, probabilities=shares.transpose(3, 2, 1, 0))
        np.testing.assert_array_equal(read_map(path, "nnunet").numpy(), np.moveaxis(shares, -1, 0))
        packed = path.read_bytes()
        for at in np.linspace(0.1, 0.9, 9):
            path.write_bytes(flipped(at)(packed))
            with pytest.raises(ValueError, match="c0.npz' cannot be read"):
                read_map(path, "nnunet")
    # A header that tells of fewer values than there are: the rest would never be looked at.
    array = io.BytesIO()
    np.save(array, shares.transpose(3, 2, 1, 0))
    wrong = array.getvalue().replace(b"(3, 12, 20, 18)", b"(2, 12, 20, 18)")
    assert wrong != array.getvalue()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("probabilities.npy", array.getvalue())
    stored = path.read_bytes()
    path.write_bytes(stored.replace(array.getvalue(), wrong))
    with pytest.raises(ValueError, match="c0.npz' cannot be read"):
        read_map(path, "nnunet")


def test_every_command_that_reads_a_file_names_it(tmp_path: Path) -> None:
    for i in range(10):
        label, shares = truth_and_map(i)
        save(label, tmp_path / "labels" / f"c{i}.nii.gz")
        save(shares, tmp_path / "maps" / f"c{i}.nii.gz")
    maps, labels, file = tmp_path / "maps", tmp_path / "labels", tmp_path / "c.json"
    calibrate = ["calibrate", maps, "--form", "channels-last", "--labels", labels]
    assert run(*calibrate, "--out", file).exit_code == 0
    assert (
        run("predict", maps, "--form", "channels-last", "--calibration", file, "--out", tmp_path / "s").exit_code == 0
    )
    (tmp_path / "s/run.json").unlink()
    with_labels = ["--labels", labels, "--calibration", file]
    commands = {
        "labels/c5.nii.gz": [
            [*calibrate, "--out", tmp_path / "new.json"],
            ["evaluate", tmp_path / "s", *with_labels],
            ["report", tmp_path / "s", *with_labels, "--out", tmp_path / "new.html"],
            ["features", labels / "c5.nii.gz", "--extractor", "mind", "--out", tmp_path / "new.png"],
        ],
        "maps/c5.nii.gz": [
            [*calibrate, "--out", tmp_path / "new.json"],
            ["predict", maps, "--form", "channels-last", "--calibration", file, "--out", tmp_path / "new"],
        ],
        "s/c5.nii.gz": [
            ["evaluate", tmp_path / "s", *with_labels],
            ["report", tmp_path / "s", *with_labels, "--out", tmp_path / "new.html"],
        ],
    }
    for damaged, given in commands.items():
        path = tmp_path / damaged
        whole = path.read_bytes()
        for command in given:
            path.write_bytes(one_value(whole))
            ran = run(*command)
            assert ran.exit_code == 1, (command, ran.output)
            assert damaged in ran.output
            assert "cannot be read" in ran.output.replace("\n", " ")
            assert isinstance(ran.exception, SystemExit)
        path.write_bytes(whole)
    assert not list(tmp_path.glob("new*.*"))


def test_an_image_of_another_kind_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    ran = run("features", tmp_path / "image.png", "--extractor", "mind", "--out", tmp_path / "look.png")
    assert ran.exit_code == 1
    assert "image.png' cannot be read" in ran.output.replace("\n", " ")
    save(np.random.default_rng(0).random(SHAPE).astype(np.float32), tmp_path / "image.nii.gz")
    ran = run("features", tmp_path / "image.nii.gz", "--extractor", "mind", "--out", tmp_path / "look.png")
    assert ran.exit_code == 0, ran.output
