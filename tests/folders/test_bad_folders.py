"""Folders and files that are not what they should be."""

from __future__ import annotations

import pickle
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_rwcp.folders import match_folders, read_grid_file, read_map, read_units

SHAPE = (6, 5, 4)


def save(values: np.ndarray, path: Path, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def nnunet(folder: Path, *, seed: int = 0, name: str = "anna") -> tuple[Path, np.ndarray]:
    shares = np.random.default_rng(seed).dirichlet(np.ones(3), SHAPE).astype(np.float32)
    save(shares.argmax(-1).astype(np.uint8), folder / f"{name}.nii.gz")
    np.savez_compressed(folder / f"{name}.npz", probabilities=shares.transpose(3, 2, 1, 0))
    return folder / f"{name}.npz", shares


def test_what_does_not_match_is_listed(tmp_path: Path) -> None:
    for name in ("anna", "ben", "carl"):
        save(np.zeros(SHAPE, np.float32), tmp_path / "maps" / f"{name}.nii.gz")
    save(np.zeros(SHAPE, np.float32), tmp_path / "labels" / "anna.nii")
    (tmp_path / "units.csv").write_text("case,unit\nanna,1\nben,1\n")
    with pytest.raises(FileNotFoundError, match="but no label of ben, carl and no unit of carl"):
        match_folders(tmp_path / "maps", labels=tmp_path / "labels", units=tmp_path / "units.csv")


def test_an_empty_folder_and_names_that_are_there_twice(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"No map in .*but found notes.txt"):
        match_folders(tmp_path)
    save(np.zeros(SHAPE, np.float32), tmp_path / "anna.nii.gz")
    save(np.zeros(SHAPE, np.float32), tmp_path / "anna.nii")
    with pytest.raises(ValueError, match="both called 'anna'"):
        match_folders(tmp_path)
    (tmp_path / "anna.nii").unlink()
    for name in ("anna", "anna_0000"):
        save(np.zeros(SHAPE, np.float32), tmp_path / "images" / f"{name}.nii.gz")
    with pytest.raises(ValueError, match="both an image of 'anna'"):
        match_folders(tmp_path, images=tmp_path / "images")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,patient\na,1\n", "first line of .*units.csv' to be 'case,unit' .* but it is 'name,patient'"),
        ("case,unit\na,1\na,2\n", "Line 3 .* names the case 'a' again: keep one line a case"),
        ("case,unit\na,\n", "has no unit for the case 'a': fill it in"),
    ],
)
def test_units_of_another_form(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "units.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_units(tmp_path / "units.csv")


def test_a_map_of_nnunet_on_its_grid(tmp_path: Path) -> None:
    path, shares = nnunet(tmp_path)
    found = read_map(path, "nnunet")
    np.testing.assert_array_equal(found.numpy(), np.moveaxis(shares, -1, 0))


def test_exchanged_axes_of_one_length_are_noticed(tmp_path: Path) -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), (6, 6, 6)).astype(np.float32)
    save(shares.argmax(-1).astype(np.uint8), tmp_path / "anna.nii.gz")
    np.savez_compressed(tmp_path / "anna.npz", probabilities=np.moveaxis(shares, -1, 0))
    with pytest.raises(
        ValueError,
        match=r"is not 'anna.nii.gz': label \d has a Dice of 0\.\d+ between both.*an axis was flipped or exchanged",
    ):
        read_map(tmp_path / "anna.npz", "nnunet")


def test_nnunet_without_its_segmentation_or_of_another_run(tmp_path: Path) -> None:
    path, _ = nnunet(tmp_path)
    other, _ = nnunet(tmp_path, seed=1, name="ben")
    other.with_name("ben.nii.gz").replace(tmp_path / "anna.nii.gz")
    with pytest.raises(ValueError, match="of different runs"):
        read_map(path, "nnunet")
    with pytest.raises(FileNotFoundError, match=r"the \.pkl is not opened"):
        read_map(other, "nnunet")
    np.savez_compressed(path, softmax=np.zeros((3, 4, 5, 6)))
    with pytest.raises(
        ValueError,
        match=r"Expected 'probabilities' alone .*as nnU-Net v2 writes it with --save_probabilities, but it holds softmax\. Files of v1",
    ):
        read_map(path, "nnunet")


def test_no_pickle_is_ever_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "it ran",))  # type: ignore[return-value]

    path, _ = nnunet(tmp_path)
    path.with_suffix(".pkl").write_bytes(pickle.dumps(Bomb()))
    read_map(path, "nnunet")
    np.savez(path, probabilities=np.array([Bomb()], dtype=object))
    with pytest.raises(ValueError, match="anna.npz' cannot be read"):
        read_map(path, "nnunet")
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("ending", [".npz", ".nii.gz", ".nii"])
def test_truncated_files(ending: str, tmp_path: Path) -> None:
    if ending == ".npz":
        path, _ = nnunet(tmp_path)
    else:
        path = save(np.random.default_rng(0).random((30, 30, 30, 3)).astype(np.float32), tmp_path / f"anna{ending}")
    for share in (0.6, 0.0):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
        with pytest.raises(ValueError, match=f"anna{ending}' cannot be read; it may be truncated"):
            read_map(path, "nnunet" if ending == ".npz" else "channels-last")


@pytest.mark.parametrize(
    ("form", "shape"), [("channels-last", (6, 5, 4)), ("channels-first", (3, 4)), ("one-class", (6, 5, 4, 3))]
)
def test_maps_of_another_form(form: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = save(np.zeros(shape, np.float32), tmp_path / "anna.nii.gz")
    with pytest.raises(ValueError, match="Name the form of the maps"):
        read_map(path, form)  # type: ignore[arg-type]


def test_one_class_with_or_without_an_axis_for_it(tmp_path: Path) -> None:
    """What `--form channels-last` sends there."""
    for shape in ((6, 5, 4), (6, 5, 4, 1), (6, 5, 4, 1, 1)):
        path = save(np.zeros(shape, np.float32), tmp_path / "anna.nii.gz")
        assert read_map(path, "one-class").shape == (1, 6, 5, 4)


def test_a_label_on_another_grid(tmp_path: Path) -> None:
    found = read_map(save(np.zeros((*SHAPE, 3), np.float32), tmp_path / "map.nii.gz"), "channels-last")
    with pytest.raises(ValueError, match="has the shape"):
        read_grid_file(save(np.zeros((6, 5, 5), np.float32), tmp_path / "label.nii.gz"), found)
    with pytest.raises(
        ValueError, match=r"flipped.nii.gz' and map '.*map.nii.gz' on one grid, but .* voxels \(.* mm\)"
    ):
        read_grid_file(save(np.zeros(SHAPE, np.float32), tmp_path / "flipped.nii.gz", np.diag([-1, 1, 1, 1])), found)
    with pytest.raises(FileNotFoundError, match="There is no"):
        read_grid_file(tmp_path / "absent.nii.gz", found)
