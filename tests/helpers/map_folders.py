"""Folders of probability maps as other programs leave them, and the commands that read them."""

from __future__ import annotations

import csv
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from click.testing import CliRunner, Result

from monai_rwcp.cli import main
from monai_rwcp.utils.packages import is_older

N, SHAPE = 24, (18, 20, 12)
AFFINE = np.array([[-1.5, 0, 0, 30], [0, 2.0, 0, -7], [0, 0, 3.0, 4], [0, 0, 0, 1]])


def truth_and_map(i: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(i)
    label = np.zeros(SHAPE, dtype=np.uint8)
    x, y = generator.integers(1, 6, 2)
    label[x : x + 8, y : y + 9, 2:7] = 1
    label[x + 2 : x + 5, y + 2 : y + 5, 8:11] = 2
    logits = 2.5 * np.eye(3)[label] + generator.normal(0, 1.2, (*SHAPE, 3))
    shares = np.exp(logits)
    return label, (shares / shares.sum(-1, keepdims=True)).astype(np.float32)


def save(values: np.ndarray, path: Path, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def write_cohort(folder: Path, form: str) -> None:
    """Maps, labels and images of N cases of N / 2 patients, as each form has them."""
    for i in range(N):
        name = f"case_{i:03d}"
        label, shares = truth_and_map(i)
        group = "calibrate" if i < N // 2 else "test"
        save(label, folder / group / "labels" / f"{name}.nii.gz")
        image = label * 0.3 + np.random.default_rng(100 + i).random(SHAPE)
        save(image.astype(np.float32), folder / group / "images" / f"{name}_0000.nii.gz")
        maps = folder / group / "maps"
        if form == "channels-last":
            save(shares, maps / f"{name}.nii.gz")
        elif form == "channels-first":
            save(np.moveaxis(shares, -1, 0), maps / f"{name}.nii.gz")
        elif form == "nnunet":
            # What export_prediction_from_logits of nnU-Net 2.8.1 leaves: [C, z, y, x], properties, segmentation.
            save(shares.argmax(-1).astype(np.uint8), maps / f"{name}.nii.gz")
            np.savez_compressed(maps / f"{name}.npz", probabilities=shares.transpose(3, 2, 1, 0))
            (maps / f"{name}.pkl").write_bytes(pickle.dumps({"spacing": [3.0, 2.0, 1.5]}))
    for group in ("calibrate", "test"):
        with (folder / f"{group}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["case", "unit"])
            writer.writerows([f"case_{i:03d}", f"patient {i // 2}"] for i in range(N))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_apart(*arguments: object) -> Result:
    """With `stdout` and `stderr` told apart, which click 8.1 does when asked and later ones always do."""
    runner: Any = CliRunner
    apart = {"mix_stderr": False} if is_older("click", "8.2") else {}
    return runner(**apart).invoke(main, [str(argument) for argument in arguments])


def calibrated_cohort(folder: Path, names: Sequence[str]) -> None:
    """Maps and labels of some cases, and the calibration of them, ``c.json``."""
    for i, name in enumerate(names):
        label, shares = truth_and_map(i)
        save(label, folder / "labels" / f"{name}.nii.gz")
        save(shares, folder / "maps" / f"{name}.nii.gz")
    labels = ("--labels", folder / "labels")
    ran = run("calibrate", folder / "maps", "--form", "channels-last", *labels, "--out", folder / "c.json")
    assert ran.exit_code == 0, ran.output
