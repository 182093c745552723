"""Plain CRC, blur + CRC and the walk + CRC on real patients, through MONAI's evaluator."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose, CopyItemsd, GaussianSmoothd
from tqdm import tqdm

from benchmarks.acdc_data import CLASS_NAMES, LoadSlice, load_network, slice_items, unseen_patients
from benchmarks.saved_features import SavedFeatures
from monai_rwcp import (
    Calibration,
    ConformalCalibrationHandler,
    ConformalThresholdd,
    DenseFeaturesd,
    ExportedFeatures,
    FeatureExtractor,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    paper,
    recommended,
)
from monai_rwcp.handlers import engine_items
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.report import MeasuredSet, Row, render_table, summarise

METHODS = {
    "plain": "plain CRC",
    "blurred": "blur 2 px + CRC",
    "paper": "walk, paper() on 56 x 56",
    "recommended": "walk, recommended() [development]",
}
# Bottleneck and three decoder scales of the segmentation network.
DECODER_LAYERS = (
    "model.1.submodule.2",
    "model.1.submodule.1.submodule.2",
    "model.1.submodule.1.submodule.1.submodule.2",
    "model.1.submodule.1.submodule.1.submodule.1.submodule",
)


def post_chain(network: torch.nn.Module, extractor: FeatureExtractor) -> Compose:
    """The four scores side by side, each under its own key."""
    keys = tuple(METHODS)
    return Compose(
        [
            Activationsd("pred", softmax=True),
            CopyItemsd("pred", times=len(keys), names=list(keys)),
            NetworkProvenanced(keys, network),
            GaussianSmoothd("blurred", sigma=2.0),
            DenseFeaturesd("image", extractor),
            RandomWalkDiffusiond("paper", **replace(paper(), grid=4)),
            RandomWalkDiffusiond("recommended", **recommended()),
        ]
    )


def run(network: torch.nn.Module, items: Sequence[dict[str, Any]], chain: Compose, name: str, each: Sequence) -> None:
    """Run the evaluator over items; `each` are handlers, or functions of an item."""
    loader = DataLoader(Dataset(list(items), LoadSlice()), batch_size=8)
    handlers = [handler for handler in each if hasattr(handler, "attach")]
    functions = [function for function in each if not hasattr(function, "attach")]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=network,
        postprocessing=chain,
        val_handlers=handlers,
    )
    with tqdm(total=len(items), desc=name) as bar:

        def after_batch(engine: Engine) -> None:
            for item in engine_items(engine):
                for function in functions:
                    function(item)
                bar.update()

        evaluator.add_event_handler(Events.ITERATION_COMPLETED, after_batch)
        evaluator.run()


def study(
    network: torch.nn.Module,
    extractor: FeatureExtractor,
    calibration_items: Sequence[dict[str, Any]],
    test_items: Sequence[dict[str, Any]],
    alpha: float,
    unit_key: str,
) -> list[Row]:
    """Calibrate every method on one group of items and measure its sets on the other."""
    chain = post_chain(network, extractor)
    measured: list[MeasuredSet] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = {key: f"{folder}/{key}.json" for key in METHODS}
        handlers = [
            ConformalCalibrationHandler(
                key, alpha=alpha, unit_key=unit_key, case_key="case", output_path=path, class_names=CLASS_NAMES
            )
            for key, path in paths.items()
        ]
        run(network, calibration_items, chain, "calibrate", handlers)
        calibrations = {key: Calibration.load(path) for key, path in paths.items()}
        threshold = ConformalThresholdd(tuple(METHODS), list(paths.values()))

        def measure(item: dict[str, Any]) -> None:
            for key, method in METHODS.items():
                for c in range(1, len(CLASS_NAMES)):
                    truth = item["label"][0] == c
                    figures = prediction_set_metrics(item[f"{key}_set"][c], truth)
                    measured.append(MeasuredSet(method, item[unit_key], c, figures))

        run(network, test_items, Compose([chain, threshold]), "predict", [measure])
    return [
        summarise(measured, method, c, calibrations[key])
        for c in range(1, len(CLASS_NAMES))
        for key, method in METHODS.items()
    ]


def over_classes(rows: Sequence[Row]) -> str:
    """Dice, distances and stretch of each method, averaged over the classes, and their change against plain CRC."""
    fields = ("dice", "average_surface_distance", "hausdorff_distance_95", "stretch")
    means = {
        method: [fmean(getattr(row, f) for row in rows if row.method == method) for f in fields]
        for method in METHODS.values()
    }
    plain = means[METHODS["plain"]]
    lines = ["mean over classes: Dice, ASSD, HD95, stretch (change against plain CRC)"]
    for method, values in means.items():
        parts = [f"{v:.3f} ({100 * (v / p - 1):+.0f} %)" for v, p in zip(values, plain, strict=True)]
        lines.append(f"  {method:36s} " + "   ".join(parts))
    return "\n".join(lines)


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--features", type=click.Choice(["network", "litemedsam"]), required=True)
@click.option(
    "--encoder",
    type=click.Path(path_type=Path),
    help="LiteMedSAM's exported encoder; by default litemedsam_encoder_256.pt2 beside the weights.",
)
@click.option("--cache", type=click.Path(path_type=Path), default=Path("out/features"), help="Where features are kept.")
@click.option("--alpha", default=0.1)
@click.option("--patients", type=int, help="Only so many unseen patients, drawn with the seed.")
@click.option("--slices", type=int, help="Only so many slices of each volume, spread evenly.")
@click.option("--seed", default=0, help="Of the split into calibration and test patients.")
@click.option(
    "--protocol",
    type=click.Choice(["patients", "design"]),
    default="patients",
    help="design: 100 slices, slice as unit, threshold from the same slices (optimistic; for comparison only).",
)
def main(
    data: Path,
    weights: Path,
    features: str,
    encoder: Path | None,
    cache: Path,
    alpha: float,
    patients: int | None,
    slices: int | None,
    seed: int,
    protocol: str,
) -> None:
    """Calibrate on half of the patients the network has not seen, evaluate on the rest, and print the table."""
    start = time.perf_counter()
    network = load_network(weights)
    extractor: FeatureExtractor = NetworkFeatures(network, DECODER_LAYERS)
    if features == "litemedsam":
        path = encoder or weights.with_name("litemedsam_encoder_256.pt2")
        extractor = SavedFeatures(ExportedFeatures(path), cache)
    group = unseen_patients(data, weights)
    random.Random(seed).shuffle(group)
    group = group[:patients]
    if protocol == "design":
        items = slice_items(data, sorted(group), slices)
        items = sorted(random.Random(seed).sample(items, min(100, len(items))), key=lambda item: item["case"])
        calibration_items = test_items = items
        unit_key = "case"
    else:
        half = len(group) // 2
        calibration_items = slice_items(data, sorted(group[:half]), slices)
        test_items = slice_items(data, sorted(group[half:]), slices)
        unit_key = "patient"
    rows = study(network, extractor, calibration_items, test_items, alpha, unit_key)
    click.echo(f"\n{weights.name}, {features} features, alpha = {alpha}, protocol {protocol}, seed {seed}")
    click.echo(f"{len(calibration_items)} slices to calibrate, {len(test_items)} to test; unit: {unit_key}")
    click.echo("\n" + render_table(rows, "px") + "\n" + over_classes(rows))
    if features == "litemedsam":
        click.echo("LiteMedSAM's medical pre-training may have seen ACDC images.")
    click.echo(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
