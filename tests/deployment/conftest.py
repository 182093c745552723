"""A small bundle on phantom images, calibrated by a run of its own evaluator."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from tests.helpers.links import link

INFERENCE: dict[str, Any] = {
    "imports": ["$import glob", "$import monai_rwcp"],
    "bundle_root": ".",
    "dataset_dir": "$@bundle_root + '/images'",
    "calibration_path": "$@bundle_root + '/models/calibration.json'",
    "network": "$torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Conv3d(4, 2, 1))",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0]},
        ],
    },
    "dataset": {
        "_target_": "Dataset",
        "data": "$[{'image': path} for path in sorted(glob.glob(@dataset_dir + '/*_image.nii.gz'))]",
        "transform": "@preprocessing",
    },
    "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [12, 12, 8], "overlap": 0.25},
    "flips": [],
    "extractor": {"_target_": "NetworkFeatures", "network": "@network", "layers": "0"},
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {
                "_target_": "NetworkProvenanced",
                "keys": "pred",
                "network": "@network",
                "inferer": "@inferer",
                "flips": "@flips",
            },
            {"_target_": "DenseFeaturesd", "extractor": "@extractor"},
            {
                "_target_": "monai_rwcp.RandomWalkDiffusiond",
                "keys": "pred", "k": 6, "n_steps": 2, "restart": 0.5, "center": True, "grid": 4,
            },
            {
                "_target_": "Invertd",
                "keys": "pred", "transform": "@preprocessing", "orig_keys": "image", "nearest_interp": False,
            },
            {"_target_": "monai_rwcp.ConformalThresholdd", "keys": "pred", "calibration": "@calibration_path"},
            {
                "_target_": "SaveImaged",
                "keys": "pred_set", "output_dir": "$@bundle_root + '/sets'", "output_dtype": "$'uint8'",
                "print_log": False,
            },
        ],
    },
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "$torch.device('cpu')",
        "val_data_loader": "@dataloader",
        "network": "@network",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
        "val_handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
            },
            {"_target_": "StatsHandler", "output_transform": "$lambda x: None"},
        ],
    },
    "run": ["$@evaluator.run()"],
}  # fmt: skip


def _save_network(path: Path, shift: float = 0.0) -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.Conv3d(4, 2, 1))
    torch.nn.init.uniform_(network[0].weight, 0, 0.05)
    torch.nn.init.uniform_(network[1].weight, 0, 1)
    with torch.no_grad():
        network[1].weight[0] *= -1
        network[1].bias.copy_(torch.tensor([1.0 + shift, -1.0]))
    torch.save(network.state_dict(), path)


def _images(folder: Path) -> list[dict[str, str]]:
    random, cases = np.random.default_rng(0), []
    for i in range(6):
        centre = np.array([12, 12, 4]) + random.uniform(-2, 2, 3)
        distance = np.linalg.norm((np.indices((24, 24, 8)).T - centre) / [7, 6, 3], axis=-1).T
        label = (distance < 1).astype(np.uint8)
        image = (2 * label + random.normal(0, 0.3, label.shape)).astype(np.float32)
        case = {"image": f"{folder}/p{i}_image.nii.gz", "label": f"{folder}/p{i}_label.nii.gz", "patient": f"p{i}"}
        for name, values in (("image", image), ("label", label)):
            nibabel.save(nibabel.Nifti1Image(values, np.diag([1.0, 1.0, 2.0, 1.0])), case[name])
        cases.append(case)
    return cases


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with the calibration that its own evaluator made of labelled patients."""
    root = tmp_path_factory.mktemp("bundle")
    for name in ("configs", "models", "images"):
        (root / name).mkdir()
    _save_network(root / "models" / "model.pt")
    config = copy.deepcopy(INFERENCE)
    (root / "configs" / "inference.json").write_text(json.dumps(config))
    config["bundle_root"] = str(root)
    config["dataset"]["data"] = _images(root / "images")
    for transform in config["preprocessing"]["transforms"][:2]:
        transform["keys"] = ["image", "label"]
    del config["postprocessing"]["transforms"][-2:]
    config["evaluator"]["val_handlers"].append(
        {
            "_target_": "ConformalCalibrationHandler",
            "alpha": 0.2,
            "unit_key": "patient",
            "output_path": "@calibration_path",
        }
    )
    ConfigParser(config).get_parsed_content("run::0")
    return root


@pytest.fixture
def changed(bundle: Path, tmp_path: Path) -> Callable[..., Path]:
    """Another bundle: the same but for what a function does to its config, and a shift of the network's bias."""

    def make(
        change: Callable[[dict[str, Any]], Any] = lambda config: None, images: bool = True, shift: float = 0.0
    ) -> Path:
        config = copy.deepcopy(INFERENCE)
        change(config)
        for name in ("configs", "models", "images"):
            (tmp_path / name).mkdir()
        _save_network(tmp_path / "models" / "model.pt", shift)
        for path in [*bundle.glob("models/*.json"), *(bundle.glob("images/*_image.nii.gz") if images else [])]:
            link(tmp_path / path.relative_to(bundle), path, to_folder=path.is_dir())
        (tmp_path / "configs" / "inference.json").write_text(json.dumps(config))
        return tmp_path

    return make
