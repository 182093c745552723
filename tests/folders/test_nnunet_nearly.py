"""Maps of nnU-Net that are nearly right: a small organ, one case of thirty, one voxel, a segmentation cleaned up."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import Result

from monai_rwcp.folders import read_map
from tests.helpers.map_folders import run, save

SHAPE = (30, 26, 18)
LPS = np.diag([-1.5, -1.2, 2.0, 1.0])
LPS[:3, 3] = (40, 31, -12)
READERS = {"SimpleITKIO": False, "NibabelIO": False, "NibabelIOWithReorient": True, "SimpleITKIOWithReorient": True}


def ball(middle: tuple[float, float, float], radius: float) -> np.ndarray:
    """Probability of a ball, which falls to a half at its radius."""
    at = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"))
    return 1 / (1 + np.exp(4 * (np.linalg.norm(at - np.array(middle)[:, None, None, None], axis=0) - radius)))


def softmax(i: int = 0, islands: bool = False) -> np.ndarray:
    """A small organ (under 1 % of the volume) and a smaller spot beside it, off the middle along each axis."""
    organ, spot = ball((9 + i % 3, 8, 6), 2.7), ball((16 + i % 3, 9, 7), 1.6)
    if islands:
        organ = np.maximum(organ, ball((22, 19, 12), 1.3))
    return np.stack([(1 - organ) * (1 - spot), organ * (1 - spot), spot]).astype(np.float32)


def regions() -> np.ndarray:
    """Whole, seed and core, nested."""
    return np.stack([ball((9, 8, 6), 4), ball((9, 8, 6), 1.5), ball((9, 8, 6), 2.6)]).astype(np.float32)


def painted(maps: np.ndarray, order: tuple[int, ...] = (2, 1, 3)) -> np.ndarray:
    made = np.zeros(SHAPE, np.uint8)
    for channel, label in zip(maps[[0, 2, 1]], np.array(order)[[0, 2, 1]], strict=True):
        made[channel > 0.5] = label
    return made


OF_REGIONS = {
    "labels": {"background": 0, "whole": [1, 2, 3], "core": [1, 3], "seed": 1},
    "regions_class_order": [2, 3, 1],
}


def write(
    folder: Path, maps: np.ndarray, segmentation: np.ndarray | None = None, name: str = "c0", **turns: bool
) -> Path:
    """A map as a reader that turns to RAS leaves it, or another one, and the segmentation in the file's order."""
    made = maps.argmax(axis=0).astype(np.uint8) if segmentation is None else segmentation
    save(made, folder / f"{name}.nii.gz", LPS)
    lain = maps[:, ::-1, ::-1] if turns.get("turned") else maps
    np.savez_compressed(folder / f"{name}.npz", probabilities=lain.transpose(0, 3, 2, 1))
    return folder / f"{name}.npz"


def tell(folder: Path, reader: str | None = None, **dataset: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if reader is not None:
        (folder / "plans.json").write_text(json.dumps({"image_reader_writer": reader}))
    if dataset:
        (folder / "dataset.json").write_text(json.dumps(dataset))


def calibrated(folder: Path) -> Result:
    files = [folder / "maps", "--labels", folder / "labels", "--out", folder / "c.json"]
    return run("calibrate", *files, "--form", "nnunet", "--alpha", 0.2)


@pytest.mark.parametrize("reader", [*READERS, None])
@pytest.mark.parametrize("fault", [None, "flipped", "one voxel"])
def test_one_case_of_thirty(reader: str | None, fault: str | None, tmp_path: Path) -> None:
    """A flipped axis, or a shift of one voxel along one, moves less than 2 % of the voxels."""
    tell(tmp_path / "maps", reader)
    for i in range(30):
        maps = softmax(i)
        save(maps.argmax(axis=0).astype(np.uint8), tmp_path / "labels" / f"c{i}.nii.gz", LPS)
        made = maps.argmax(axis=0).astype(np.uint8)
        if fault is not None and i == 17:
            maps = maps[:, :, :, ::-1] if fault == "flipped" else np.roll(maps, 1, axis=2)
            assert (maps.argmax(axis=0) != made).mean() < 0.02
        write(tmp_path / "maps", maps, made, f"c{i}", turned=READERS.get(reader or "", False))
    ran = calibrated(tmp_path)
    if fault is None:
        assert ran.exit_code == 0, ran.output
        return
    assert ran.exit_code == 1
    assert not (tmp_path / "c.json").exists()
    assert "maps/c17.npz'" in ran.output
    assert "Dice of 0" in ran.output
    assert (f"read by {reader} (by '" in ran.output) == (reader is not None)


def test_two_frames_that_fit(tmp_path: Path) -> None:
    """A missed organ, or one that lies alike from both ends: only a document can tell how the map lies."""
    nothing = np.stack([np.linspace(0.6, 0.9, np.prod(SHAPE)).reshape(SHAPE)] * 2)
    nothing[1] = 1 - nothing[0]
    middle = ball((14.5, 12.5, 6), 3) * np.linspace(0.9, 1, SHAPE[0])[:, None, None]
    for maps in (nothing, np.stack([1 - middle, middle])):
        path = write(tmp_path, maps.astype(np.float32))
        with pytest.raises(
            ValueError, match=r"in two ways: in the order of the file \(SimpleITKIO or NibabelIO\), and t"
        ):
            read_map(path, "nnunet")
        for reader, turned in READERS.items():
            tell(tmp_path / reader, reader)
            found = read_map(write(tmp_path / reader, maps.astype(np.float32), turned=turned), "nnunet")
            np.testing.assert_array_equal(found.numpy(), maps.astype(np.float32))


def test_an_empty_image_lies_alike_in_every_frame(tmp_path: Path) -> None:
    """Outside of what it crops, nnU-Net writes the background with 1."""
    maps = np.zeros((3, *SHAPE), np.float32)
    maps[0] = 1
    np.testing.assert_array_equal(read_map(write(tmp_path, maps), "nnunet").numpy(), maps)


def test_half_precision_is_the_same_map(tmp_path: Path) -> None:
    maps = softmax()
    maps[:, 9:12, 5:12, 4:9] = np.array([0.1, 0.45001, 0.45])[:, None, None, None]  # a tie when rounded
    path = write(tmp_path, maps.astype(np.float16), maps.argmax(axis=0).astype(np.uint8))
    assert np.abs(read_map(path, "nnunet").numpy() - maps).max() < 1e-3


def test_a_segmentation_that_was_post_processed(tmp_path: Path) -> None:
    maps = softmax(islands=True)
    full = maps.argmax(axis=0).astype(np.uint8)
    cleaned = full.copy()
    cleaned[18:, 14:, 9:] = 0
    assert (cleaned != full).any()
    path, warned = write(tmp_path, maps, cleaned), set()
    with pytest.warns(UserWarning, match=r"c0.nii.gz' was post-processed: .* \(\d+ voxels of label 1\)"):
        found = read_map(path, "nnunet", warned)
    np.testing.assert_array_equal(found.numpy(), maps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_map(path, "nnunet", warned)
        read_map(write(tmp_path / "full", maps), "nnunet")
    for gone in (np.where(full == 2, 0, full), np.where(np.arange(SHAPE[0])[:, None, None] > 10, 0, full), 0 * full):
        tell(tmp_path / "gone", "SimpleITKIO")
        with pytest.raises(ValueError, match="post-processed so that a class is gone"):
            read_map(write(tmp_path / "gone", maps, gone.astype(np.uint8)), "nnunet")


def test_regions_in_the_order_of_the_document(tmp_path: Path) -> None:
    maps = regions()[[0, 2, 1]]  # whole, core, seed
    label = np.zeros(SHAPE, np.uint8)
    for channel, number in zip(maps, (2, 3, 1), strict=True):
        label[channel > 0.5] = number
    for reader, turned in READERS.items():
        tell(tmp_path / reader, reader, **OF_REGIONS)
        found = read_map(write(tmp_path / reader, maps, label, turned=turned), "nnunet")
        np.testing.assert_array_equal(found.numpy(), maps)
    # The same regions in another order: the channels of a network that was trained with another dataset.json.
    other = {**OF_REGIONS, "labels": {"background": 0, "core": [1, 3], "whole": [1, 2, 3], "seed": 1}}
    for document, message in (
        (other, "contradicts itself: by 'regions_class_order' the region core is painted as 2"),
        ({**OF_REGIONS, "regions_class_order": [2, 1, 1]}, r"c0.npz' is not 'c0.nii.gz': label 3 has a Dice of 0 "),
    ):
        tell(tmp_path / "other", **document)
        with pytest.raises(ValueError, match=message):
            read_map(write(tmp_path / "other", maps, label), "nnunet")


@pytest.mark.parametrize(
    ("document", "kind", "message"),
    [
        (
            {},
            "regions",
            r"Expected softmax in '.*c0.npz'.*but they sum to numbers 0\.000 to 2\..*need nnU-Net's dataset",
        ),
        ({"labels": {"background": 0, "a": 1, "b": 2}}, "regions", "numbers 0.000 to .*dataset.json' tells of classes"),
        (OF_REGIONS, "softmax", r"sigmoid of regions in '.*c0.npz', but its channels sum to 1 .*tells of regions"),
        ({"labels": {"background": 0, "a": 1}}, "softmax", "has 3 channels, but '.*dataset.json' tells of 2 classes"),
        (
            {"labels": {"background": 0, "a": [1, 2], "b": 1}, "regions_class_order": [2, 1]},
            "regions",
            r"has 3 channels, but '.*' tells of 2 regions \(a, b\)",
        ),
        (
            {"labels": OF_REGIONS["labels"]},
            "regions",
            "Expected 'regions_class_order' in '.*whole, core, seed, but got N",
        ),
        ({"labels": {"background": 0, "a": "1"}}, "softmax", "Expected 'labels' in '.*dataset.json' as nnU-Net v2"),
        ({"labels": [0, 1, 2]}, "softmax", "Expected 'labels' in '.*dataset.json' as nnU-Net v2"),
    ],
)
def test_what_the_document_tells_is_not_what_lies_there(
    document: dict[str, object], kind: str, message: str, tmp_path: Path
) -> None:
    tell(tmp_path, **document)
    path = write(tmp_path, regions(), painted(regions())) if kind == "regions" else write(tmp_path, softmax())
    with pytest.raises(ValueError, match=message.replace("numbers 0", "numbers from 0")):
        read_map(path, "nnunet")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"labels": null}', '{"labels": {}}', '"x"'])
def test_a_damaged_document_is_one_line(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, softmax())
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(ValueError, match=r"dataset.json'") as said:
        read_map(path, "nnunet")
    assert "\n" not in str(said.value)


def test_labels_of_no_region_and_maps_of_another_kind(tmp_path: Path) -> None:
    maps = regions()[[0, 2, 1]]
    label = painted(maps[[0, 2, 1]], (2, 1, 3))
    tell(tmp_path / "maps", **OF_REGIONS)
    for i in range(5):
        write(tmp_path / "maps", maps, label, f"c{i}")
        save(label, tmp_path / "labels" / f"c{i}.nii.gz", LPS)
    ran = calibrated(tmp_path)
    assert ran.exit_code == 0, ran.output

    write(tmp_path / "classes", softmax())
    predict = ["--form", "nnunet", "--calibration", tmp_path / "c.json", "--out", tmp_path / "sets"]
    ran = run("predict", tmp_path / "classes", *predict)
    assert ran.exit_code == 1
    assert "The calibration is of overlapping regions (whole, core, seed), but the maps in '" in ran.output
    assert "are of classes: they are of another network" in ran.output

    moved = {"whole": [1, 2, 3], "seed": 1, "core": [1, 3]}
    tell(tmp_path / "moved", labels={"background": 0, **moved}, regions_class_order=[2, 1, 3])
    write(tmp_path / "moved", regions(), painted(regions(), (2, 1, 3)))
    ran = run("predict", tmp_path / "moved", *predict)
    assert ran.exit_code == 1
    assert "(whole, core, seed), but the maps in '" in ran.output
    assert "are of overlapping regions (whole, seed, core)" in ran.output

    (tmp_path / "c.json").unlink()
    wrong = label.copy()
    wrong[0, 0, 0] = 4
    save(wrong, tmp_path / "labels" / "c3.nii.gz", LPS)
    ran = calibrated(tmp_path)
    assert ran.exit_code == 1
    assert "labels/c3.nii.gz' holds 4, of which no region is made: whole of 1, 2, 3, core of 1, 3" in ran.output


def test_tuning_on_regions(tmp_path: Path) -> None:
    maps = regions()[[0, 2, 1]]
    tell(tmp_path, **OF_REGIONS)
    items = []
    for i in range(8):
        write(tmp_path, maps, painted(regions(), (2, 1, 3)), f"c{i}")
        items.append({"pred": f"c{i}.npz", "label": f"c{i}.nii.gz", "patient": f"p{i}"})
    (tmp_path / "list.json").write_text(json.dumps({"tuning": items}))
    ran = run("tune", tmp_path / "list.json", "--form", "nnunet", "--alpha", 0.2, "--out", tmp_path / "tuned")
    assert ran.exit_code == 0, ran.output
    (tmp_path / "dataset.json").unlink()
    ran = run("tune", tmp_path / "list.json", "--form", "nnunet", "--alpha", 0.2, "--out", tmp_path / "again")
    assert ran.exit_code == 1
    assert "Expected softmax in '" in ran.output


def test_regions_in_other_forms(tmp_path: Path) -> None:
    """NIfTI maps have no document: their channels have to be classes. One case of thirty is enough."""
    for form in ("channels-last", "channels-first"):
        folder = tmp_path / form
        for i in range(30):
            maps = regions() if i == 17 else softmax(i)
            save(np.moveaxis(maps, 0, -1) if form == "channels-last" else maps, folder / "maps" / f"c{i}.nii.gz", LPS)
            save(softmax(i).argmax(axis=0).astype(np.uint8), folder / "labels" / f"c{i}.nii.gz", LPS)
        files = [folder / "maps", "--labels", folder / "labels", "--form", form, "--out", folder / "c.json"]
        ran = run("calibrate", *files)
        assert ran.exit_code == 1
        assert "Expected softmax in '" in ran.output
        assert "maps/c17.nii.gz', whose channels sum to 1 in every voxel" in ran.output
        assert not (folder / "c.json").exists()
        save(nibabel.load(folder / "maps" / "c16.nii.gz").get_fdata(), folder / "maps" / "c17.nii.gz", LPS)
        save(softmax(16).argmax(axis=0).astype(np.uint8), folder / "labels" / "c17.nii.gz", LPS)
        ran = run("calibrate", *files)
        assert ran.exit_code == 0, ran.output
