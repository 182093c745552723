"""Sets of 3D volumes with native 3D features, from NIfTI files to NIfTI files, on the hippocampus data."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import nibabel
import numpy as np
import torch
from monai.data import Dataset
from monai.transforms import (
    Activationsd,
    Compose,
    CopyItemsd,
    GaussianSmoothd,
    Invertd,
    SaveImaged,
)

from benchmarks.checks.chain_rows import over_classes, rows_by_class
from benchmarks.common.evaluation import run
from benchmarks.data.hippocampus import CLASS_NAMES, LAYERS, preprocessing, subjects, train
from monai_rwcp import (
    Calibration,
    ConformalCalibrationHandler,
    ConformalThresholdd,
    ForwardFeaturesHandler,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    paper,
    recommended,
)
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.report import MeasuredSet, Row, render_table

METHODS = {
    "plain": "plain CRC",
    "blurred": "blur 1 mm + CRC",
    "paper": "walk, paper() on 2 mm",
    "recommended": "walk, recommended() on 2 mm",
}


def post_chain(network: torch.nn.Module, load: Compose) -> Compose:
    """The scores of all methods on the original grid; the features are there from the forward pass."""
    keys = tuple(METHODS)
    return Compose(
        [
            Activationsd("pred", softmax=True),
            CopyItemsd("pred", times=len(keys), names=list(keys)),
            NetworkProvenanced(keys, network),
            GaussianSmoothd("blurred", sigma=1.0),
            RandomWalkDiffusiond("paper", **replace(paper(), grid=2)),
            RandomWalkDiffusiond("recommended", **replace(recommended(), grid=2)),
            Invertd(keys, load, orig_keys="image", nearest_interp=False),
        ]
    )


def study(
    network: torch.nn.Module,
    calibrate: Sequence[dict[str, str]],
    test: Sequence[dict[str, str]],
    alpha: float,
    out: Path,
) -> list[Row]:
    """Calibrate on one group of subjects, write the sets of the other, and measure them against the truth."""
    load = preprocessing(label_with_image=False)
    chain = post_chain(network, load)
    out.mkdir(parents=True, exist_ok=True)
    paths = {key: out / f"{key}.json" for key in METHODS}
    handlers = [
        ConformalCalibrationHandler(key, alpha=alpha, unit_key="subject", output_path=path, class_names=CLASS_NAMES)
        for key, path in paths.items()
    ]
    features = ForwardFeaturesHandler(LAYERS)
    run(network, Dataset(list(calibrate), load), chain, "calibrate", [features, *handlers], batch_size=1)
    save = SaveImaged(
        "recommended_set",
        output_dir=out / "sets",
        output_postfix="set",
        output_dtype=np.uint8,
        separate_folder=False,
        resample=False,
        print_log=False,
    )
    measured: list[MeasuredSet] = []

    def measure(item: dict[str, Any]) -> None:
        label = item["label"].as_tensor()[0]
        spacing = [float(s) for s in item["label"].pixdim]
        for key, method in METHODS.items():
            for c in range(1, len(CLASS_NAMES)):
                found = item[f"{key}_set"].as_tensor()[c]
                figures = prediction_set_metrics(found, label == c, spacing=spacing)
                measured.append(MeasuredSet(method, item["subject"], c, figures))

    threshold = ConformalThresholdd(tuple(METHODS), [str(path) for path in paths.values()])
    run(
        network,
        Dataset(list(test), load),
        Compose([chain, threshold, save]),
        "predict",
        [features, measure],
        batch_size=1,
    )
    calibrations = {key: Calibration.load(path) for key, path in paths.items()}
    return rows_by_class(measured, METHODS, calibrations)


def check_geometry(test: Sequence[dict[str, str]], out: Path) -> int:
    """Number of written sets that lie on their label's grid: same shape, same affine."""
    kept = 0
    for case in test:
        label, written = nibabel.load(case["label"]), nibabel.load(out / "sets" / f"{case['subject']}_set.nii.gz")
        same_shape = written.shape == (*label.shape, len(CLASS_NAMES))  # type: ignore[attr-defined]
        kept += same_shape and np.allclose(written.affine, label.affine, atol=1e-4)  # type: ignore[attr-defined]
    return kept


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/hippocampus"))
@click.option("--train-on", default=4, help="Subjects to train on.")
@click.option("--epochs", default=100)
@click.option("--calibrate-on", default=80, help="Subjects to calibrate on.")
@click.option("--test-on", default=80, help="Subjects to test on.")
@click.option("--alpha", default=0.1)
@click.option("--seed", default=0, help="Of the split, the weights and the training.")
def main(
    data: Path, out: Path, train_on: int, epochs: int, calibrate_on: int, test_on: int, alpha: float, seed: int
) -> None:
    """Train a network on a few subjects, calibrate and test it on others, and print the table."""
    start = time.perf_counter()
    group = subjects(data)
    if train_on + calibrate_on + test_on > len(group):
        raise click.UsageError(f"There are only {len(group)} subjects.")
    random.Random(seed).shuffle(group)
    network = train(group[:train_on], epochs, seed)
    calibrate, test = (
        group[train_on : train_on + calibrate_on],
        group[train_on + calibrate_on : train_on + calibrate_on + test_on],
    )
    trained = time.perf_counter()
    rows = study(network, calibrate, test, alpha, out)
    click.echo(f"\nhippocampus, {train_on} training subjects, {epochs} epochs, alpha = {alpha}, seed {seed}")
    click.echo("\n" + render_table(rows, "mm") + "\n" + over_classes(rows))
    click.echo(f"Sets on their label's grid: {check_geometry(test, out)} of {len(test)}, in {out / 'sets'}")
    click.echo(f"{trained - start:.0f} s of training, {time.perf_counter() - trained:.0f} s of calibration and test")


if __name__ == "__main__":
    main()
