"""Recall control by MAPIE beside ours, on the same maps, images and splits."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

import click
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.common.evaluation import probabilities_of
from benchmarks.common.recall_control import recall_control
from benchmarks.common.rows import markdown
from benchmarks.common.splitter import Splitter
from benchmarks.data.acdc import CLASS_NAMES, LoadSlice, load_network, slice_items, unseen_patients
from monai_rwcp.conformal import LossTable, calibrate, false_negative_rate_table

__all__ = ["PeerImage", "compare", "load_images"]


@dataclass(frozen=True)
class PeerImage:
    """The one image of a patient.

    Args:
        patient: its name.
        score: softmax ``[C, height, width]``.
        label: class numbers ``[1, height, width]``.
    """

    patient: str
    score: torch.Tensor
    label: torch.Tensor


@dataclass(frozen=True)
class _Found:
    """What a program found in one split, and what came of it on the other patients."""

    threshold: float
    controlled: bool
    missed: float
    stretch: float
    seconds: float


def load_images(data: Path, weights: Path) -> list[PeerImage]:
    """One slice of each patient whom the network has not seen: MAPIE knows images, so a patient may have but one."""
    network, read, found = load_network(weights), LoadSlice(), {}
    for item in slice_items(data, unseen_patients(data, weights), 1):
        if item["patient"] not in found:
            loaded = read(dict(item.items()))
            score = probabilities_of(network, loaded["image"])
            found[item["patient"]] = PeerImage(item["patient"], score, loaded["label"])
    return list(found.values())


# As many as its default grid has, and 0, the whole image.
_EVEN_IN_LOGITS = np.concatenate([[0.0], 1 / (1 + np.exp(-np.linspace(-8, 8, 99)))])


def compare(images: Sequence[PeerImage], c: int, alpha: float, splits: int, seed: int) -> list[list[str]]:
    """A row for each program: threshold, observed rate, stretch and time over random splits, of one class."""
    shown = {image.patient: image for image in images if bool((image.label == c).any())}
    splitter = Splitter(tuple(sorted(shown)), seed)
    programs: dict[str, Callable[[Sequence[PeerImage], int, float], tuple[float, bool]]] = {
        "monai_rwcp": _ours,
        "MAPIE": partial(_mapie, thresholds=None),
        "MAPIE, even in logits": partial(_mapie, thresholds=_EVEN_IN_LOGITS),
    }
    figures: dict[str, list[_Found]] = {program: [] for program in programs}
    for number in tqdm(range(splits), desc=CLASS_NAMES[c]):
        tune, calibration, test = splitter.split(number)
        # Nothing is tuned here, so that part calibrates, too.
        known, new = ([shown[name] for name in names] for names in (tune + calibration, test))
        for program, threshold_of in programs.items():
            start = time.perf_counter()
            threshold, controlled = threshold_of(known, c, alpha)
            seconds = time.perf_counter() - start
            # MAPIE's sets are those above its threshold, ours those that reach it.
            reached = torch.ge if program == "monai_rwcp" else torch.gt
            found = [(reached(image.score[c], threshold), image.label[0] == c) for image in new]
            missed = fmean(float((truth & ~one).sum() / truth.sum()) for one, truth in found)
            stretch = fmean(float(one.sum() / truth.sum()) for one, truth in found)
            figures[program].append(_Found(threshold, controlled, missed, stretch, seconds))
    lines = []
    for program, rows in figures.items():
        missed = fmean(row.missed for row in rows)
        error = float(np.std([row.missed for row in rows], ddof=1)) / len(rows) ** 0.5
        lines.append(
            [
                CLASS_NAMES[c],
                program,
                f"{median(row.threshold for row in rows):.4g}",
                f"{missed:.3f} ({error:.3f})",
                f"{fmean(row.stretch for row in rows):.3f}",
                f"{sum(not row.controlled for row in rows)} of {splits}",
                f"{1000 * median(row.seconds for row in rows):.0f}",
            ]
        )
    return lines


def _ours(images: Sequence[PeerImage], c: int, alpha: float) -> tuple[float, bool]:
    """Threshold, and whether it controls the rate: ours always does, at worst by the whole image."""
    tables = [false_negative_rate_table(image.score, image.label, unit=image.patient) for image in images]
    return calibrate(LossTable.join(tables), alpha).threshold[c], True


def _mapie(images: Sequence[PeerImage], c: int, alpha: float, *, thresholds: np.ndarray | None) -> tuple[float, bool]:
    """Threshold, and whether it controls the rate: where none it tries (by default hundredths) does, MAPIE warns."""
    tried = {} if thresholds is None else {"predict_params": thresholds}
    controller = recall_control(alpha, **tried)
    for image in images:
        score = image.score[c][None, None].double().numpy()
        controller.compute_risks(score, (image.label[0] == c).reshape(1, -1).numpy())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        controller.compute_best_predict_param()
    return float(controller.best_predict_param[0]), not any("cannot be controlled" in str(w.message) for w in told)


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="ACDC.")
@click.option("--weights", type=click.Path(exists=True, path_type=Path), multiple=True, required=True)
@click.option("--alpha", default=0.1)
@click.option("--splits", default=20)
@click.option("--seed", default=0)
def main(data: Path, weights: tuple[Path, ...], alpha: float, splits: int, seed: int) -> None:
    """Calibrate the recall of plain probabilities with both programs, patient by patient (one image each)."""
    head = ("class", "program", "threshold", "observed FNR (s.e.)", "stretch", "not controlled", "ms a calibration")
    for path in weights:
        images = load_images(data, path)
        rows = [row for c in range(1, len(CLASS_NAMES)) for row in compare(images, c, alpha, splits, seed)]
        click.echo(f"{path.name}: {len(images)} patients, alpha = {alpha}\n\n{markdown(head, rows)}")


if __name__ == "__main__":
    main()
