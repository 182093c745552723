"""The guide's lines, read from the README, make sets of a bundle in the style of MONAI's model zoo."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)

import monai_rwcp
from monai_rwcp import Calibration, LossTable, NetworkFeatures, false_negative_rate_table, recommended
from monai_rwcp.conformal import calibrate, prediction_set
from monai_rwcp.demo import train_network, write_cohort
from monai_rwcp.walk import diffuse_probabilities
from tests.helpers.bundle_commands import documented_commands, documented_configs, run_command

pytestmark = pytest.mark.usefixtures("bundle_runs")

N_TRAINING, N_CALIBRATION, N_NEW = 3, 12, 2
LAYERS = ("model.1.submodule.2", "model.1.submodule.1.submodule")
SPACING = [1.5, 1.5, 4.0]

# As published bundles write it: for images alone, and with masks as its result.
INFERENCE = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "output_dir": "$@bundle_root + '/eval'",
    "dataset_dir": "data",
    "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 4,
        "channels": [12, 24, 48],
        "strides": [[2, 2, 1], [2, 2, 2]],
        "num_res_units": 1,
        "norm": "instance",
    },
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
            {"_target_": "Spacingd", "keys": "image", "pixdim": SPACING, "mode": "bilinear"},
            {
                "_target_": "ScaleIntensityRanged",
                "keys": "image", "a_min": 100, "a_max": 1000, "b_min": 0, "b_max": 1, "clip": True,
            },
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    },
    "dataset": {
        "_target_": "Dataset",
        "data": "$[{'image': i} for i in @datalist]",
        "transform": "@preprocessing",
    },
    "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "shuffle": False, "num_workers": 0},
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "sw_batch_size": 4, "overlap": 0.5},
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {
                "_target_": "Invertd",
                "keys": "pred", "transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False,
                "to_tensor": True,
            },
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
        ],
    },
    "handlers": [
        {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        {"_target_": "StatsHandler", "iteration_log": False},
    ],
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
        "val_handlers": "@handlers",
        "amp": False,
    },
    "initialize": ["$setattr(torch.backends.cudnn, 'benchmark', True)"],
    "run": ["$@evaluator.run()"],
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle that was trained, with new images and with labelled patients who did not train it."""
    folder = tmp_path_factory.mktemp("published")
    cases = write_cohort(folder / "images", N_TRAINING + N_CALIBRATION + N_NEW, seed=7)
    network = train_network(cases[:N_TRAINING], epochs=15, seed=7, progress=False)
    (folder / "models").mkdir()
    torch.save(network.state_dict(), folder / "models" / "model.pt")
    listed = [
        {key: value if key == "patient" else f"images/{Path(value).name}" for key, value in case.items()}
        for case in cases[N_TRAINING : N_TRAINING + N_CALIBRATION]
    ]
    (folder / "calibration_patients.json").write_text(json.dumps({"calibrate": listed}))
    new = folder / "data" / "imagesTs"
    new.mkdir(parents=True)
    for case in cases[-N_NEW:]:
        shutil.copy(case["image"], new)
    (folder / "configs").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(INFERENCE))
    (folder / "configs" / "metadata.json").write_text("{}")
    return folder


def dotted(text: str) -> str:
    """The same configuration with full names, and without the import that makes short names known."""
    ours = "|".join(monai_rwcp.__all__)
    named, count = re.subn(rf'"_target_": "({ours})"', r'"_target_": "monai_rwcp.\1"', text)
    assert count > 0
    return named.replace(', "$import monai_rwcp"', "")


def run_guide(published: Path, folder: Path, configs: dict[str, str], between: str = "") -> Path:
    """Put the guide's files into a copy of the bundle, and run the guide's commands there."""
    shutil.copytree(published, folder)
    for name, text in configs.items():
        assert not (folder / "configs" / name).exists()
        (folder / "configs" / name).write_text(text)
    commands = documented_commands()[1]
    assert len(commands) == 2
    for words in commands:
        assert "'configs/rwcp.json'" in words[-1]
        run_command([*words[:-1], words[-1].replace("'configs/rwcp.json'", "'configs/rwcp.json'" + between)], folder)
    return folder


def sets_of(folder: Path) -> dict[str, np.ndarray]:
    found = sorted((folder / "eval").rglob("*_set.nii.gz"))
    assert len(found) == N_NEW
    return {path.name.removesuffix("_image_set.nii.gz"): np.asarray(nibabel.load(path).dataobj) for path in found}


@pytest.fixture(scope="module")
def followed(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    guide = documented_configs()
    assert sorted(guide) == ["calibrate.json", "forward.json", "rwcp.json"]
    return run_guide(
        published,
        tmp_path_factory.mktemp("followed") / "bundle",
        {name: guide[name] for name in ("rwcp.json", "calibrate.json")},
    )


def network_of(folder: Path) -> UNet:
    network = UNet(3, 1, 4, (12, 24, 48), ((2, 2, 1), (2, 2, 2)), num_res_units=1, norm="instance")  # type: ignore[arg-type]
    network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))
    return network.eval()


def walked_score(image: str | Path, network: UNet) -> torch.Tensor:
    """The walked score on the grid of the image's file, without a line of configuration."""
    before = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            Orientationd("image", axcodes="RAS", labels=None),
            Spacingd("image", pixdim=SPACING, mode="bilinear"),
            ScaleIntensityRanged("image", a_min=100, a_max=1000, b_min=0, b_max=1, clip=True),
        ]
    )
    item = before({"image": str(image)})
    with torch.no_grad():
        logits = SlidingWindowInferer((32, 32, 32), 4, 0.5)(item["image"][None], network)
    features = NetworkFeatures(network, LAYERS, window=(32, 32, 32))(item["image"])
    probabilities = torch.as_tensor(logits).as_subclass(torch.Tensor)[0].softmax(dim=0)
    walked = diffuse_probabilities(probabilities, features, recommended(), spacing=SPACING)
    item["pred"] = MetaTensor(walked, affine=item["image"].affine)
    return Invertd("pred", before, orig_keys="image", nearest_interp=False)(item)["pred"].as_tensor()


def test_the_sets_are_those_of_the_walked_score_in_plain_python(followed: Path) -> None:
    network = network_of(followed)
    tables = []
    for case in json.loads((followed / "calibration_patients.json").read_text())["calibrate"]:
        label = torch.tensor(np.asarray(nibabel.load(followed / case["label"]).dataobj))[None]
        tables.append(
            false_negative_rate_table(walked_score(followed / case["image"], network), label, unit=case["patient"])
        )
    calibration = Calibration.load(followed / "models" / "calibration.json")
    assert calibration.n == dict.fromkeys((1, 2, 3), N_CALIBRATION)
    assert calibration.threshold == calibrate(LossTable.join(tables), 0.1).threshold
    assert all(0 < threshold < 1 for threshold in calibration.threshold.values())
    for patient, found in sets_of(followed).items():
        image = followed / "data" / "imagesTs" / f"{patient}_image.nii.gz"
        expected = prediction_set(walked_score(image, network), calibration).movedim(0, -1).numpy()
        assert found.shape == (*nibabel.load(image).shape, 4)
        assert 0 < expected[..., 1:].mean() < 0.9
        np.testing.assert_array_equal(found, expected)


def test_full_names_do_the_same(followed: Path, published: Path, tmp_path: Path) -> None:
    guide = documented_configs()
    named = run_guide(
        published, tmp_path / "bundle", {name: dotted(guide[name]) for name in ("rwcp.json", "calibrate.json")}
    )
    ours, theirs = (Calibration.load(folder / "models" / "calibration.json") for folder in (followed, named))
    assert ours.classes == theirs.classes
    assert ours.provenance == theirs.provenance
    for patient, found in sets_of(named).items():
        np.testing.assert_array_equal(found, sets_of(followed)[patient])


def test_features_from_the_forward_pass(published: Path, tmp_path: Path) -> None:
    score = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_postfix": "score", "resample": False}  # fmt: skip
    configs = documented_configs() | {"scores.json": json.dumps({"+set_transforms": [score]})}
    folder = run_guide(published, tmp_path / "bundle", configs, ",'configs/forward.json'")
    # The same once more, with the scores beside the sets.
    words = documented_commands()[1][1]
    files = words[-1].replace("'configs/rwcp.json'", "'configs/rwcp.json','configs/forward.json','configs/scores.json'")
    run_command([*words[:-1], files], folder)
    calibration = Calibration.load(folder / "models" / "calibration.json")
    assert calibration.provenance.steps[-1].features["extractor"].startswith("ForwardFeatures(UNet, ")
    assert (
        monai_rwcp.provenance.weights_hash(network_of(folder)) in calibration.provenance.steps[-1].features["extractor"]
    )
    for patient, found in sets_of(folder).items():
        saved = next((folder / "eval").rglob(f"{patient}_image_score.nii.gz"))
        walked = torch.tensor(np.asarray(nibabel.load(saved).dataobj)).movedim(-1, 0)
        np.testing.assert_array_equal(found, prediction_set(walked, calibration).movedim(0, -1).numpy())


def test_the_unchanged_bundle_still_writes_its_masks(followed: Path, tmp_path: Path) -> None:
    run_command(["python", "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"], followed, "--output_dir", str(tmp_path))  # fmt: skip
    masks = sorted(tmp_path.rglob("*_trans.nii.gz"))
    assert len(masks) == N_NEW
    assert nibabel.load(masks[0]).ndim == 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"+score_transforms": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}]},
            "looks like numbers of classes",
        ),
        ({"postprocessing::transforms": "$@score_transforms[:-1] + @set_transforms"}, "side is 'processed'"),
    ],
)
def test_what_the_guide_warns_of_is_refused(followed: Path, changed: dict[str, Any], message: str) -> None:
    (followed / "configs" / "changed.json").write_text(json.dumps(changed))
    words = documented_commands()[1][1]
    files = words[-1].replace("'configs/rwcp.json'", "'configs/rwcp.json','configs/changed.json'")
    with pytest.raises(RuntimeError) as caught:
        run_command([*words[:-1], files], followed)
    messages, cause = [], caught.value.__cause__
    while cause is not None:
        messages.append(str(cause))
        cause = cause.__cause__
    assert any(message in text for text in messages), messages
