"""How often the monitor cries wolf, and how soon it notices a change, on real patients."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from monai.data import Dataset
from monai.transforms import Activationsd, Compose
from tqdm import tqdm

from benchmarks.checks.shifts import SHIFTS, ShiftImage
from benchmarks.common.evaluation import run
from benchmarks.data.acdc import CLASS_NAMES, LoadSlice, load_network, slice_items, unseen_patients
from monai_rwcp import CaseSummaryHandler, LossTable
from monai_rwcp.conformal import calibrate, false_negative_rate_table
from monai_rwcp.monitoring import (
    CaseSummaries,
    ExchangeabilityMonitor,
    ImageSummary,
    RealisedLossMonitor,
    realised_losses,
)

UNCHANGED = "unchanged"
RATES = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class Condition:
    """What all patients look like under one change.

    Args:
        summaries: their summaries.
        losses: counts of missed and true voxels.
    """

    summaries: CaseSummaries
    losses: LossTable


def measured(network: torch.nn.Module, items: Sequence[dict[str, Any]]) -> dict[str, Condition]:
    """Run the network over all patients, unchanged and under each change, through MONAI's evaluator."""
    conditions = {}
    chain = Compose([Activationsd("pred", softmax=True)])
    for name in (UNCHANGED, *SHIFTS):
        load = Compose([LoadSlice()] if name == UNCHANGED else [LoadSlice(), ShiftImage(SHIFTS[name])])
        handler = CaseSummaryHandler(image_key="image", unit_key="patient", case_key="case")
        tables: list[LossTable] = []

        def count(item: dict[str, Any], tables: list[LossTable] = tables) -> None:
            table = false_negative_rate_table(item["pred"], item["label"], unit=item["patient"], image=item["case"])
            tables.append(table)

        run(network, Dataset(list(items), load), chain, name, [handler, count])
        conditions[name] = Condition(handler.summaries, LossTable.join(tables))
    return conditions


def of_patients(summaries: CaseSummaries, patients: Sequence[str], with_image: bool) -> CaseSummaries:
    """The summaries of some patients, with or without those of the images' intensities."""
    chosen = {
        image: ImageSummary(s.unit, {n: v for n, v in s.values.items() if with_image or not n.startswith("image ")})
        for image, s in summaries.images.items()
        if s.unit in patients
    }
    return replace(summaries, images=chosen, with_image=with_image)


def watched(reference: CaseSummaries, stream: Sequence[tuple[str, dict[str, float]]], seed: int) -> list[float]:
    """Value of the monitor after each case of a stream."""
    monitor = ExchangeabilityMonitor(reference, seed=seed)
    for patient, summary in stream:
        monitor.observe(patient, {name: summary[name] for name in reference.names})
    return [case.martingale for case in monitor.cases.values()]


def first_above(values: Sequence[float], level: float) -> int | None:
    """Number of cases after which a value is reached, or None."""
    return next((i for i, value in enumerate(values, start=1) if value >= level), None)


def when(after: Sequence[int | None], cases: int) -> str:
    """How many streams raised the alarm, and after how many cases; streams without count as infinite."""
    waits = np.sort([np.inf if n is None else n for n in after])
    raised = int(np.isfinite(waits).sum())
    # The k-th smallest, so that no two numbers of cases are averaged.
    shown = [waits[int(np.ceil(q * len(waits))) - 1] for q in (0.5, 0.9)]
    words = [f"{n:.0f}" if np.isfinite(n) else f"> {cases}" for n in shown]
    return f"{raised}/{len(waits)} | {words[0]} | {words[1]}"


def cases_table(conditions: dict[str, Condition], splits: Sequence[Sequence[str]], half: int, quiet: int) -> list[str]:
    """False alarms of unchanged streams, and cases until a change is noticed."""
    units = {name: condition.summaries.units for name, condition in conditions.items()}
    alarms: dict[tuple[bool, float], int] = Counter()
    noticed: dict[tuple[str, bool, int], list[int | None]] = {}
    early: Counter[int] = Counter()
    for seed, split in enumerate(tqdm(splits, desc="streams")):
        for with_image in (True, False):
            reference = of_patients(conditions[UNCHANGED].summaries, split[:half], with_image)
            plain = [(patient, units[UNCHANGED][patient]) for patient in split[half:]]
            values = watched(reference, plain, seed)
            for rate in RATES:
                alarms[with_image, rate] += max(values) >= 1 / rate
            for shift in SHIFTS:
                for before in (0, quiet):
                    changed = [(patient, units[shift][patient]) for patient in split[half + before :]]
                    after = first_above(watched(reference, plain[:before] + changed, seed), 1 / RATES[0])
                    if after is not None and after <= before:
                        early[before] += 1
                        after = None
                    noticed.setdefault((shift, with_image, before), []).append(
                        None if after is None else after - before
                    )
    n, stream = len(splits), len(splits[0]) - half
    lines = [
        f"{n} unchanged streams of {stream} patients after {half} for calibration: streams with a false alarm",
        "",
        "| stated rate | expected at most | score and image | score only |",
        "|---|---|---|---|",
        *(f"| {r} | {r * n:g} of {n} | {alarms[True, r]} of {n} | {alarms[False, r]} of {n} |" for r in RATES),
        "",
        f"Cases until a change is noticed, at rate {RATES[0]} (median and 90 % of {n} streams; an alarm before the "
        f"change, of which there were {sum(early.values())}, counts as not noticed)",
        "",
        "| change | summaries | quiet cases before | noticed | median | 90 % |",
        "|---|---|---|---|---|---|",
    ]
    for (shift, with_image, before), waits in noticed.items():
        what = "score and image" if with_image else "score only"
        lines.append(f"| {shift} | {what} | {before} | {when(waits, stream - before)} |")
    return lines


def loss_table(conditions: dict[str, Condition], splits: Sequence[Sequence[str]], half: int, alpha: float) -> list[str]:
    """Realised losses of calibrated sets under each change, and labelled cases until they are known to be too high."""
    levels = (alpha, alpha + 2 * float(np.sqrt(alpha * (1 - alpha) / half)))
    classes = conditions[UNCHANGED].losses.classes
    waits: dict[tuple[str, int], dict[float, list[int | None]]] = {}
    means: dict[tuple[str, int], list[float]] = {}
    for split in tqdm(splits, desc="losses"):
        calibration = calibrate(conditions[UNCHANGED].losses.only(split[:half]), alpha)
        for name, condition in conditions.items():
            losses = realised_losses(condition.losses.only(split[half:]), calibration)
            for c in classes:
                of_stream = [losses[c][patient] for patient in split[half:] if patient in losses[c]]
                means.setdefault((name, c), []).append(float(np.mean(of_stream)))
                for level in levels:
                    monitor = RealisedLossMonitor(level, RATES[0] / len(classes))
                    for loss in of_stream:
                        monitor.observe(loss)
                    waits.setdefault((name, c), {}).setdefault(level, []).append(monitor.alarmed_after)
    stream = len(splits[0]) - half
    heads = " | ".join(f"alarm, tolerating {level:.2f} | median | 90 %" for level in levels)
    lines = [
        f"Realised false negative rate of plain CRC at alpha {alpha}, all cases changed: streams with an alarm at rate "
        f"{RATES[0]} over {len(classes)} structures, and labelled cases until it",
        "",
        f"| change | structure | mean realised | {heads} |",
        "|" + "---|" * 9,
    ]
    for (name, c), of_level in waits.items():
        figures = " | ".join(when(after, stream) for after in of_level.values())
        lines.append(f"| {name} | {CLASS_NAMES[c]} | {np.mean(means[name, c]):.3f} | {figures} |")
    return lines


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--slices", default=2, help="Slices of each volume, spread evenly.")
@click.option("--patients", type=int, help="Only so many unseen patients.")
@click.option("--streams", default=200, help="Random splits of the patients into calibration and stream.")
@click.option("--quiet", default=10, help="Unchanged cases before the change, where it does not come at once.")
@click.option("--alpha", default=0.1)
@click.option("--seed", default=0, help="Of the splits.")
def main(
    data: Path,
    weights: Path,
    slices: int,
    patients: int | None,
    streams: int,
    quiet: int,
    alpha: float,
    seed: int,
) -> None:
    """Split the unseen patients into calibration and stream again and again, change the stream, and print tables."""
    start = time.perf_counter()
    items = slice_items(data, unseen_patients(data, weights)[:patients], slices)
    conditions = measured(load_network(weights), items)
    names = sorted({item["patient"] for item in items})
    random = np.random.default_rng(seed)
    splits = [[names[i] for i in random.permutation(len(names))] for _ in range(streams)]
    half = len(names) // 2
    click.echo(f"\n{weights.name}, {len(items)} slices of {len(names)} patients, seed {seed}\n")
    click.echo("\n".join(cases_table(conditions, splits, half, quiet)) + "\n")
    with warnings.catch_warnings():
        # A structure that few of the calibration patients show is not what is looked at here.
        warnings.simplefilter("ignore", UserWarning)
        click.echo("\n".join(loss_table(conditions, splits, half, alpha)))
    click.echo(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
