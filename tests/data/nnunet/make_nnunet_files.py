"""Make the files beside this script: what nnU-Net itself leaves of toy data sets. Run once; the tests read the files.

Made with nnU-Net 2.8.1, torch 2.12.1 and SimpleITK 2.5.7, in an environment of their own:

    pip install nnunetv2==2.8.1 torch==2.12.1 torchvision
    python make_nnunet_files.py NEW_FOLDER

Four data sets, each with volumes in several orientations, oblique too, of other lengths along each axis and of one:

- ``Dataset501_ToyITK``: softmax, read by SimpleITKIO; five folds in 3D, one in 2D.
- ``Dataset502_ToyRAS``: softmax, read by NibabelIOWithReorient; five folds.
- ``Dataset503_ToyRegions``: regions whose order is not that of the labels, read by NibabelIO.
- ``Dataset504_ToyPlanes``: softmax of images with two axes, read by SimpleITKIO.

Checkpoints, logs and the ``.pkl`` are not kept. Nothing else is changed after nnU-Net wrote it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, ornt_transform

TRAINER = '''
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class ToyTrainer(nnUNetTrainer):
    """A few steps, so that the maps know where the structures are, but are not sure of it."""

    def __init__(self, plans, configuration, fold, dataset_json, device):
        super().__init__(plans, configuration, fold, dataset_json, device)
        # With one stage below the first, nnU-Net's weights of deep supervision are 0 / 0.
        self.enable_deep_supervision = False
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 60, 1
'''
# Lengths along R, A and S; the axes of the file; the angle by which it is tilted.
CASES = [
    ((15, 12, 10), "RAS", 0),
    ((14, 11, 12), "LPS", 0),
    ((12, 12, 12), "LAS", 9),
    ((13, 15, 10), "PIR", 14),
    ((11, 13, 14), "SLP", 20),
]
SPACING = (1.2, 1.5, 2.0)
REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [1, 3], "seed": 1}
CLASSES = {"background": 0, "organ": 1, "spot": 2}
SETS: dict[str, dict[str, Any]] = {
    "Dataset501_ToyITK": {"reader": "SimpleITKIO", "labels": CLASSES, "folds": 5, "also": "2d"},
    "Dataset502_ToyRAS": {"reader": "NibabelIOWithReorient", "labels": CLASSES, "folds": 5},
    "Dataset503_ToyRegions": {"reader": "NibabelIO", "labels": REGIONS, "folds": 1, "order": [2, 3, 1]},
    "Dataset504_ToyPlanes": {"reader": "SimpleITKIO", "labels": CLASSES, "folds": 1},
}


def phantom(shape: tuple[int, ...], rng: np.random.Generator, *, regions: bool) -> tuple[np.ndarray, np.ndarray]:
    """Image and label: an organ off the middle, a small spot beside it or in it, and a margin of zeros."""
    axes = np.meshgrid(*map(np.arange, shape), indexing="ij")
    at = np.array(shape) * 0.42 + rng.uniform(-0.8, 0.8, len(shape))

    def ball(middle: np.ndarray, radius: float) -> np.ndarray:
        return sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)) < radius**2

    organ = ball(at, 3.2)
    if regions:
        label = np.where(ball(at, 1.4), 1, np.where(ball(at, 2.4), 3, np.where(organ, 2, 0)))
        image = np.choose(label, [0.5, 3.0, 1.5, 2.2])
    else:
        label = np.where(ball(at + 3.6, 1.6), 2, organ)
        image = np.choose(label, [0.5, 1.8, 3.0])
    image = image + rng.normal(0, 0.1, shape)
    margin = np.ones(shape, bool)
    margin[tuple(slice(1, -2) for _ in shape)] = False
    return np.where(margin, 0, image).astype(np.float32), label.astype(np.uint8)


def tilted(degrees: float) -> np.ndarray:
    """An affine whose axes run to R, A and S, turned about two axes."""
    angle = np.deg2rad(degrees)
    one = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = one @ one[np.ix_([2, 0, 1], [2, 0, 1])] @ np.diag(SPACING)
    affine[:3, 3] = (-31.5, 12.25, 104.0)
    return affine


def written(values: np.ndarray, affine: np.ndarray, axes: str, path: Path) -> None:
    """Save what runs to R, A and S in a file whose axes run elsewhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if values.ndim == 2:
        nibabel.save(nibabel.Nifti1Image(values, np.diag([-1.5, -1.2, 1, 1])), path)
        return
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))
    nibabel.save(nibabel.Nifti1Image(values, affine).as_reoriented(turn), path)


def write_raw(name: str, made: dict[str, Any]) -> None:
    folder, rng = Path("raw") / name, np.random.default_rng(int(name[7:10]))
    for i in range(len(CASES) + 2):
        shape, axes, degrees = CASES[(i + i // len(CASES) * 2) % len(CASES)]
        shape = shape[:2] if name.endswith("Planes") else shape
        image, label = phantom(shape, rng, regions="order" in made)
        part = "Tr" if i < len(CASES) else "Ts"
        written(image, tilted(degrees), axes, folder / f"images{part}" / f"toy_{i}_0000.nii.gz")
        written(label, tilted(degrees), axes, folder / f"labels{part}" / f"toy_{i}.nii.gz")
    order = {"regions_class_order": made["order"]} if "order" in made else {}
    document = {
        "channel_names": {"0": "MRI"},
        "labels": made["labels"],
        "numTraining": len(CASES),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": made["reader"],
        **order,
    }
    (folder / "dataset.json").write_text(json.dumps(document, indent=1))


def shrink(path: Path) -> None:
    """Give every configuration of a plan a tiny network."""
    plans = json.loads(path.read_text())
    for of in plans["configurations"].values():
        if "architecture" not in of:
            continue
        size = [8] * len(of["patch_size"])
        of |= {"patch_size": size, "batch_size": 4}
        network = of["architecture"]["arch_kwargs"]
        network |= {"n_stages": 2, "features_per_stage": [6, 8], "n_conv_per_stage": [1, 1]}
        network |= {"n_conv_per_stage_decoder": [1], "kernel_sizes": [[3] * len(size)] * 2}
        network["strides"] = [[1] * len(size), [2] * len(size)]
    path.write_text(json.dumps(plans, indent=1))


def run(*command: str, workers: int = 0) -> None:
    program = str(Path(sys.executable).with_name(command[0]))
    subprocess.run([program, *command[1:]], check=True, env={**os.environ, "nnUNet_n_proc_DA": str(workers)})


def make(name: str, made: dict[str, Any]) -> None:
    number, kept = name[7:10], Path("kept") / name
    first = "2d" if name.endswith("Planes") else "3d_fullres"
    write_raw(name, made)
    run("nnUNetv2_plan_and_preprocess", "-d", number, "--no_pp", "-npfp", "1", workers=1)
    shrink(Path("preprocessed") / name / "nnUNetPlans.json")
    configurations = [first, *([made["also"]] if "also" in made else [])]
    run("nnUNetv2_preprocess", "-d", number, "-c", *configurations, "-np", *["1"] * len(configurations))
    for configuration in configurations:
        for fold in range(made["folds"] if configuration == first else 1):
            where = ["-tr", "ToyTrainer", "-device", "cpu"]
            run("nnUNetv2_train", number, configuration, str(fold), "--npz", *where)
    for configuration in configurations:
        trained = Path("results") / name / f"ToyTrainer__nnUNetPlans__{configuration}"
        out = Path("predicted") / name / configuration
        which = ["-d", number, "-c", configuration, "-tr", "ToyTrainer", "-f", "0", "-device", "cpu"]
        images = f"raw/{name}/imagesTs"
        run("nnUNetv2_predict", "-i", images, "-o", str(out), *which, "--save_probabilities", "-npp", "1", "-nps", "1")
        ignored = shutil.ignore_patterns("*.pth", "*.pkl", "*.png", "training_log*", "debug.json", "*fingerprint.json")
        shutil.copytree(trained, kept / trained.name, ignore=ignored)
        shutil.copytree(out, kept / "predicted" / configuration, ignore=ignored)
    for part in ("labelsTr", "labelsTs"):
        shutil.copytree(Path("raw") / name / part, kept / part)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    os.chdir(folder)
    Path("trainer").mkdir()
    (Path("trainer") / "toy_trainer.py").write_text(TRAINER)
    # Relative, so that the files that nnU-Net writes name no folder of a machine.
    places = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
    cheap = {"nnUNet_compile": "f", "nnUNet_def_n_proc": "1", "OMP_NUM_THREADS": "1"}
    os.environ.update({**places, **cheap, "nnUNet_extTrainer": "trainer"})
    for name, made in SETS.items():
        make(name, made)


if __name__ == "__main__":
    main()
