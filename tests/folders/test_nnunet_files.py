"""What nnU-Net 2.8.1 itself wrote, see tests/data/nnunet: each map on the grid of its case, in every frame."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from monai_rwcp.conformal import Calibration, LossTable, calibrate, false_negative_rate_table
from monai_rwcp.folders import read_map
from tests.helpers.map_folders import run

FILES = Path(__file__).parents[1] / "data" / "nnunet"
MAPS = sorted(path.relative_to(FILES) for path in FILES.rglob("*.npz"))
ITK, RAS, REGIONS = "Dataset501_ToyITK", "Dataset502_ToyRAS", "Dataset503_ToyRegions"
TRAINED = "ToyTrainer__nnUNetPlans__3d_fullres"


# Some truth lies in the margin that nnU-Net crops, where its maps are exactly 0.
cropped = pytest.mark.filterwarnings("ignore:.*lie where its score is exactly 0")


def written(path: Path) -> tuple[np.ndarray, nibabel.Nifti1Image]:
    return np.load(path)["probabilities"], nibabel.load(path.with_name(path.name.replace(".npz", ".nii.gz")))


def alone(path: Path, folder: Path) -> Path:
    """A map and its segmentation without the documents that nnU-Net wrote with them."""
    folder.mkdir(exist_ok=True)
    for ending in (".npz", ".nii.gz"):
        shutil.copy(path.with_name(path.name.replace(".npz", ending)), folder)
    return folder / path.name


def test_the_fixture_is_whole() -> None:
    kinds = {(path.parts[0], path.parts[1]) for path in MAPS}
    assert {name for name, _ in kinds} == {ITK, RAS, REGIONS, "Dataset504_ToyPlanes"}
    assert len([path for path in MAPS if path.parts[:2] == (RAS, TRAINED)]) == 5
    assert not list(FILES.rglob("*.pkl"))


@pytest.mark.parametrize("name", MAPS, ids=str)
def test_each_map_is_what_the_segmentation_was_made_of(name: Path) -> None:
    values, segmentation = written(FILES / name)
    found = read_map(FILES / name, "nnunet")
    assert tuple(found.shape) == (len(values), *segmentation.shape)
    np.testing.assert_allclose(found.affine.numpy(), segmentation.affine)
    made = found.numpy().argmax(axis=0)
    if name.parts[0] == REGIONS:
        made = np.zeros(segmentation.shape, int)
        for channel, label in zip(found.numpy(), (2, 3, 1), strict=True):
            made[channel > 0.5] = label
    np.testing.assert_array_equal(made, np.asarray(segmentation.dataobj))
    assert made.any()


@pytest.mark.parametrize("name", [path for path in MAPS if path.parts[0] == RAS], ids=str)
def test_the_frame_of_a_reader_that_turns_images(name: Path) -> None:
    """Voxel by voxel through the patient: where a voxel of the file lies in the turned image."""
    values, segmentation = written(FILES / name)
    turned = nibabel.as_closest_canonical(segmentation).affine
    voxels = np.stack(np.meshgrid(*map(np.arange, segmentation.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    there = nibabel.affines.apply_affine(np.linalg.inv(turned) @ segmentation.affine, voxels).round().astype(int)
    expected = values[:, there[:, 2], there[:, 1], there[:, 0]]
    np.testing.assert_array_equal(read_map(FILES / name, "nnunet").numpy().reshape(len(values), -1), expected)


@pytest.mark.parametrize("name", [path for path in MAPS if path.parts[0] != REGIONS], ids=str)
def test_the_frame_is_found_out_where_no_document_is_left(name: Path, tmp_path: Path) -> None:
    found = read_map(alone(FILES / name, tmp_path / "maps"), "nnunet")
    np.testing.assert_array_equal(found.numpy(), read_map(FILES / name, "nnunet").numpy())


def test_a_document_that_names_another_reader(tmp_path: Path) -> None:
    right = json.loads((FILES / ITK / TRAINED / "plans.json").read_text())
    refused = 0
    for name in (path for path in MAPS if path.parts[1] == TRAINED and path.parts[0] in (ITK, RAS)):
        other = "SimpleITKIO" if name.parts[0] == RAS else "NibabelIOWithReorient"
        path = alone(FILES / name, tmp_path / name.parts[0])
        (path.parent / "plans.json").write_text(json.dumps({**right, "image_reader_writer": other}))
        if nibabel.aff2axcodes(written(path)[1].affine) == ("R", "A", "S"):
            read_map(path, "nnunet")  # turning it changes nothing
            continue
        refused += 1
        with pytest.raises(ValueError, match=rf"{path.name}.*(read by {other} \(by '.*plans.json'\)|of shape)"):
            read_map(path, "nnunet")
    assert refused == 8


def test_a_wish_in_dataset_json_is_heard_where_there_are_no_plans(tmp_path: Path) -> None:
    name = next(path for path in MAPS if path.parts[0] == RAS and path.name == "toy_1.npz")
    path = alone(FILES / name, tmp_path / "maps")
    document = json.loads((FILES / RAS / TRAINED / "dataset.json").read_text())
    (path.parent / "dataset.json").write_text(json.dumps(document))
    read_map(path, "nnunet")
    (path.parent / "dataset.json").write_text(json.dumps({**document, "overwrite_image_reader_writer": "NibabelIO"}))
    with pytest.raises(ValueError, match=r"read by NibabelIO \(by '.*dataset.json'\).*It would fit turned to RAS"):
        read_map(path, "nnunet")
    (path.parent / "dataset.json").write_text(json.dumps({**document, "overwrite_image_reader_writer": "OurOwnIO"}))
    read_map(path, "nnunet")  # a reader that we do not know: found out


@cropped
@pytest.mark.parametrize("data", [ITK, RAS])
def test_the_validation_folder_of_a_fold_calibrates(data: str, tmp_path: Path) -> None:
    fold = FILES / data / TRAINED / "fold_1" / "validation"
    more = ["--form", "nnunet", "--labels", FILES / data / "labelsTr", "--alpha", 0.6, "--out", tmp_path / "c.json"]
    ran = run("calibrate", fold, *more)
    assert ran.exit_code == 0, ran.output
    (path,) = fold.glob("*.npz")
    label = nibabel.load(FILES / data / "labelsTr" / path.name.replace(".npz", ".nii.gz"))
    table = false_negative_rate_table(
        read_map(path, "nnunet").as_tensor(),
        torch.from_numpy(np.asarray(label.dataobj)).float()[None],
        unit="toy",
    )
    found = Calibration.load(tmp_path / "c.json")
    assert found.lambda_hat == calibrate(table, 0.6).lambda_hat


@cropped
def test_five_folds_in_one_folder_calibrate(tmp_path: Path) -> None:
    for path in (FILES / RAS / TRAINED).rglob("*.npz"):
        alone(path, tmp_path / "maps")
    for name in ("dataset.json", "plans.json"):
        shutil.copy(FILES / RAS / TRAINED / name, tmp_path / "maps")
    more = ["--labels", FILES / RAS / "labelsTr", "--alpha", 0.4, "--out", tmp_path / "c.json"]
    ran = run("calibrate", tmp_path / "maps", "--form", "nnunet", *more)
    assert ran.exit_code == 0, ran.output
    assert set(Calibration.load(tmp_path / "c.json").n.values()) == {5}


def test_regions_are_calibrated_as_what_they_are(tmp_path: Path) -> None:
    """Channels whole, core, seed of labels 1 to 3; label 2 is the rim, and channel 2 is the seed."""
    maps, labels = FILES / REGIONS / "predicted" / "3d_fullres", FILES / REGIONS / "labelsTs"
    common = ["--form", "nnunet"]
    ran = run("calibrate", maps, *common, "--labels", labels, "--alpha", 0.4, "--out", tmp_path / "c.json")
    assert ran.exit_code == 0, ran.output
    found = Calibration.load(tmp_path / "c.json")
    assert (found.counting.label_mode, list(found.class_names)) == ("regions", ["whole", "core", "seed"])
    tables, sizes = [], []
    for path in sorted(maps.glob("*.npz")):
        label = np.asarray(nibabel.load(labels / path.name.replace(".npz", ".nii.gz")).dataobj)
        masks = torch.from_numpy(np.stack([label > 0, np.isin(label, (1, 3)), label == 1]).astype(np.float32))
        sizes.append(masks.flatten(1).sum(dim=1).tolist())
        score = read_map(path, "nnunet").as_tensor()
        tables.append(false_negative_rate_table(score, masks, unit=path.stem, label_mode="regions"))
    assert all(whole > core > seed > 0 for whole, core, seed in sizes)
    assert found.lambda_hat == calibrate(LossTable.join(tables), 0.4).lambda_hat

    ran = run("predict", maps, *common, "--calibration", tmp_path / "c.json", "--out", tmp_path / "sets")
    assert ran.exit_code == 0, ran.output
    measured = [tmp_path / "sets", "--labels", labels, "--calibration", tmp_path / "c.json"]
    ran = run("evaluate", *measured, "--out", tmp_path / "f.json")
    assert ran.exit_code == 0, ran.output
    figures = json.loads((tmp_path / "f.json").read_text())
    sets = {path.name: np.asarray(nibabel.load(path).dataobj) for path in (tmp_path / "sets").glob("*.nii.gz")}
    missed = []
    for name, made in sets.items():
        core = np.isin(np.asarray(nibabel.load(labels / name).dataobj), (1, 3))
        missed.append(1 - made[core][:, 1].mean())
    assert np.isclose(figures.get("figures", figures)["pred_set_fnr_1"], np.mean(missed))
    ran = run("report", *measured, "--out", tmp_path / "page.html")
    assert ran.exit_code == 0, ran.output

    (tmp_path / "sets" / "run.json").unlink()
    ran = run("evaluate", *measured)
    assert ran.exit_code == 1
    assert "tells which labels each is made of: give the folder as predict wrote it" in ran.output
