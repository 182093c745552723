"""Plain CRC, blur + CRC and the walk + CRC on real patients, through MONAI's evaluator."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from monai.data import Dataset
from monai.transforms import Activationsd, Compose, CopyItemsd, DeleteItemsd, GaussianSmoothd

from benchmarks.checks.chain_rows import over_classes, rows_by_class
from benchmarks.common.evaluation import run
from benchmarks.data.acdc import CLASS_NAMES, DECODER_LAYERS, LoadSlice, load_network, slice_items, unseen_patients
from monai_rwcp import (
    CachedFeatures,
    Calibration,
    ConformalCalibrationHandler,
    ConformalThresholdd,
    DenseFeaturesd,
    ExportedFeatures,
    FeatureExtractor,
    MINDFeatures,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    paper,
    recommended,
)
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.report import MeasuredSet, Row, render_table

# By source, as the table names them.
SOURCES = {"network": "network's own", "litemedsam": "LiteMedSAM", "mind": "MIND-SSC"}


def method_names(sources: Sequence[str]) -> dict[str, str]:
    """The key of each score and the name of its method."""
    names = {"plain": "plain CRC", "blurred": "blur 2 px + CRC"}
    for source in sources:
        names[f"paper_{source}"] = f"walk, paper() on 56 x 56, {SOURCES[source]}"
        names[f"recommended_{source}"] = f"walk, recommended(), {SOURCES[source]}"
    return names


def post_chain(network: torch.nn.Module, extractors: Mapping[str, FeatureExtractor]) -> Compose:
    """The scores of all methods side by side, each under its own key."""
    keys = tuple(method_names(tuple(extractors)))
    walks: list[Any] = []
    for source, extractor in extractors.items():
        features = f"features_{source}"
        walks += [
            DenseFeaturesd("image", extractor, output_keys=features),
            RandomWalkDiffusiond(f"paper_{source}", features, **replace(paper(), grid=4)),
            RandomWalkDiffusiond(f"recommended_{source}", features, **recommended()),
            DeleteItemsd(features),
        ]
    return Compose(
        [
            Activationsd("pred", softmax=True),
            CopyItemsd("pred", times=len(keys), names=list(keys)),
            NetworkProvenanced(keys, network),
            GaussianSmoothd("blurred", sigma=2.0),
            *walks,
        ]
    )


def study(
    network: torch.nn.Module,
    extractors: Mapping[str, FeatureExtractor],
    calibration_items: Sequence[dict[str, Any]],
    test_items: Sequence[dict[str, Any]],
    alpha: float,
    unit_key: str,
) -> list[Row]:
    """Calibrate every method on one group of items and measure its sets on the other."""
    methods = method_names(tuple(extractors))
    chain = post_chain(network, extractors)
    measured: list[MeasuredSet] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = {key: f"{folder}/{key}.json" for key in methods}
        handlers = [
            ConformalCalibrationHandler(
                key, alpha=alpha, unit_key=unit_key, case_key="case", output_path=path, class_names=CLASS_NAMES
            )
            for key, path in paths.items()
        ]
        run(network, Dataset(list(calibration_items), LoadSlice()), chain, "calibrate", handlers)
        calibrations = {key: Calibration.load(path) for key, path in paths.items()}
        threshold = ConformalThresholdd(tuple(methods), list(paths.values()))

        def measure(item: dict[str, Any]) -> None:
            for key, method in methods.items():
                for c in range(1, len(CLASS_NAMES)):
                    truth = item["label"][0] == c
                    figures = prediction_set_metrics(item[f"{key}_set"][c], truth)
                    measured.append(MeasuredSet(method, item[unit_key], c, figures))

        run(network, Dataset(list(test_items), LoadSlice()), Compose([chain, threshold]), "predict", [measure])
    return rows_by_class(measured, methods, calibrations)


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--features", type=click.Choice(list(SOURCES)), multiple=True, required=True, help="May be repeated.")
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
    features: tuple[str, ...],
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
    extractors: dict[str, FeatureExtractor] = {}
    for source in features:
        if source == "network":
            extractors[source] = NetworkFeatures(network, DECODER_LAYERS)
        elif source == "mind":
            extractors[source] = MINDFeatures()
        else:
            path = encoder or weights.with_name("litemedsam_encoder_256.pt2")
            extractors[source] = CachedFeatures(ExportedFeatures(path), cache, dtype="float16")
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
    rows = study(network, extractors, calibration_items, test_items, alpha, unit_key)
    click.echo(f"\n{weights.name}, {', '.join(features)} features, alpha = {alpha}, protocol {protocol}, seed {seed}")
    click.echo(f"{len(calibration_items)} slices to calibrate, {len(test_items)} to test; unit: {unit_key}")
    click.echo("\n" + render_table(rows, "px") + "\n" + over_classes(rows))
    if "litemedsam" in features:
        click.echo("LiteMedSAM's medical pre-training may have seen ACDC images.")
    click.echo(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
