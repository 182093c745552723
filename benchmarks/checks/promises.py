"""Every loss under every promise on real patients: what was promised and what 100 random splits observed."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from monai.data import Dataset
from monai.transforms import Activationsd, Compose, EnsureTyped, Invertd
from tqdm import tqdm

from benchmarks.common.evaluation import run
from benchmarks.data.acdc import DECODER_LAYERS, LoadSlice, load_network, slice_items, unseen_patients
from benchmarks.data.hippocampus import LAYERS, preprocessing, subjects, train
from monai_rwcp import (
    ConformalCalibrationHandler,
    DenseFeaturesd,
    ForwardFeaturesHandler,
    LossTable,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    recommended,
)
from monai_rwcp.conformal import InstanceFalseNegativeRate, Promise, SetLoss, SurfaceFalseNegativeRate, calibrate
from monai_rwcp.conformal.counting.losses.choice import loss_from
from monai_rwcp.conformal.counting.unit_losses import UnitLosses

LOSSES: dict[str, SetLoss] = {
    "false negative rate": loss_from("fnr"),
    "weighted, 5 x where structures touch": loss_from("weighted_fnr"),
    "pieces covered by less than half": InstanceFalseNegativeRate(0.5),
    "surface farther than 2 outside": SurfaceFalseNegativeRate(2.0),
    "inner set": loss_from("inner"),
    "false discovery": loss_from("false_discovery"),
}


def promises(loss: SetLoss, alpha: float, delta: float, tau: float) -> dict[str, Promise]:
    """The promises that can be made of a loss."""
    if not loss.monotone:
        return {"Learn then Test": Promise(alpha, "ltt", delta=delta)}
    return {
        "expectation": Promise(alpha),
        "tolerance": Promise(alpha, "tolerance", tau=tau),
        "certainty, Hoeffding-Bentkus": Promise(alpha, "rcps", delta=delta),
        "certainty, betting": Promise(alpha, "rcps", delta=delta, bound="betting"),
    }


@dataclass(frozen=True)
class Observed:
    """What the splits of one table observed under one promise, over classes and splits.

    Args:
        mean: mean of the promised quantity over the test patients.
        error: standard deviation of it over the splits (of one data set, so that they share its luck).
        above: share of splits and classes in which the test patients' mean is above alpha.
        trivial: share of splits and classes in which the set is the whole image, or the inner set empty.
    """

    mean: float
    error: float
    above: float
    trivial: float


def observe(table: LossTable, promise: Promise, splits: int, seed: int) -> Observed:
    """Calibrate on a random half of the patients and look at the other, again and again."""
    everyone, draws = list(table.units), np.random.default_rng(seed)
    losses = {c: UnitLosses(table, c, table.counting) for c in table.classes}
    curves = {
        c: of_class.by_unit if promise.tau is None else of_class.by_unit > 1 - promise.tau + 1e-12
        for c, of_class in losses.items()
    }
    risks, trivial = [], []
    for _ in range(splits):
        chosen = set(draws.permutation(everyone)[: len(everyone) // 2].tolist())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = calibrate(
                table.only(chosen),
                promise.alpha,
                promise.method,
                delta=promise.delta,
                tau=promise.tau,
                bound=promise.bound,
            )
        for c, of_class in losses.items():
            step = int(np.flatnonzero(of_class.thresholds == found.threshold[c])[0])
            test = [i for i, unit in enumerate(of_class.units) if unit not in chosen]
            risks.append(float(curves[c][test, step].mean()))
            trivial.append(step == 0)
    by_split = np.array(risks).reshape(splits, -1)
    return Observed(
        float(by_split.mean()),
        float(by_split.mean(axis=1).std(ddof=1)),
        float((by_split > promise.alpha).mean()),
        float(np.mean(trivial)),
    )


def touching(label: torch.Tensor) -> torch.Tensor:
    """Weights of 5 within one voxel of another structure or the background, and 1 elsewhere."""
    values = label.float()[None]
    pool = F.max_pool2d if label.ndim == 3 else F.max_pool3d
    edge = pool(values, 3, stride=1, padding=1) != -pool(-values, 3, stride=1, padding=1)
    return 1 + 4 * edge[0].float()


def acdc_tables(data: Path, weights: Path, slices: int, patients: int | None) -> dict[str, LossTable]:
    """All patients the network has not seen; scores walk over its own features."""
    network = load_network(weights)
    chain = Compose(
        [
            Activationsd("pred", softmax=True),
            NetworkProvenanced("pred", network),
            DenseFeaturesd("image", NetworkFeatures(network, DECODER_LAYERS)),
            RandomWalkDiffusiond("pred", **recommended()),
            # Without a known spacing a pixel counts as 1 mm.
            EnsureTyped("pred", track_meta=True),
            _AddWeight(),
        ]
    )
    items = slice_items(data, unseen_patients(data, weights)[:patients], slices)
    return _tables(network, Dataset(items, LoadSlice()), chain, "patient", "case", [])


def hippocampus_tables(data: Path, train_on: int, epochs: int, seed: int) -> dict[str, LossTable]:
    """All subjects that a small 3D network was not trained on, on their original grid."""
    group = subjects(data)
    random.Random(seed).shuffle(group)
    network = train(group[:train_on], epochs, seed)
    load = preprocessing(label_with_image=False)
    chain = Compose(
        [
            Activationsd("pred", softmax=True),
            NetworkProvenanced("pred", network),
            RandomWalkDiffusiond("pred", **{**recommended(), "grid": 2}),
            Invertd("pred", load, orig_keys="image", nearest_interp=False),
            _AddWeight(),
        ]
    )
    features = [ForwardFeaturesHandler(LAYERS)]
    return _tables(network, Dataset(group[train_on:], load), chain, "subject", "subject", features)


class _AddWeight:
    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, "weight": touching(torch.as_tensor(data["label"]))}


def _tables(
    network: torch.nn.Module, data: Dataset, chain: Compose, unit_key: str, case_key: str, first: Sequence[Any]
) -> dict[str, LossTable]:
    handlers = {
        name: ConformalCalibrationHandler(
            alpha=0.5,
            loss=loss,
            unit_key=unit_key,
            case_key=case_key,
            weight_key="weight" if loss.needs_weight else None,
            **({} if loss.monotone else {"method": "ltt", "delta": 0.5}),  # type: ignore[arg-type]
        )
        for name, loss in LOSSES.items()
    }
    run(network, data, chain, unit_key, [*first, *handlers.values()], batch_size=1 if first else 8)
    return {name: handler.table for name, handler in handlers.items()}


def lines(
    name: str, tables: Mapping[str, LossTable], alpha: float, delta: float, tau: float, splits: int, seed: int
) -> Iterator[str]:
    """A row of the table for each loss and promise."""
    n = len(next(iter(tables.values())).units)
    rows = [
        (loss, kind, promise) for loss in tables for kind, promise in promises(LOSSES[loss], alpha, delta, tau).items()
    ]
    for loss, kind, promise in tqdm(rows, desc=f"{name}: splits"):
        seen = observe(tables[loss], promise, splits, seed)
        observed = f"{seen.mean:.3f} ({seen.error:.3f}) | {100 * seen.above:.0f} % | {100 * seen.trivial:.0f} %"
        yield f"| {name} ({n // 2} / {n - n // 2}) | {loss} | {kind} | {alpha:.2f} | {observed} |"


@click.command(context_settings={"show_default": True})
@click.option("--acdc", type=click.Path(exists=True, file_okay=False, path_type=Path), help="ACDC's folder.")
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An ACDC network.")
@click.option("--slices", default=2, help="Slices of each ACDC volume, spread evenly.")
@click.option("--patients", type=int, help="Only so many patients of ACDC.")
@click.option(
    "--hippocampus", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The Decathlon task's."
)
@click.option("--epochs", default=100, help="Of training on 4 subjects of the hippocampus data.")
@click.option("--alpha", default=0.2)
@click.option("--delta", default=0.1)
@click.option("--tau", default=0.8)
@click.option("--splits", default=100)
@click.option("--seed", default=0)
def main(
    acdc: Path | None,
    weights: Path | None,
    slices: int,
    patients: int | None,
    hippocampus: Path | None,
    epochs: int,
    alpha: float,
    delta: float,
    tau: float,
    splits: int,
    seed: int,
) -> None:
    """One pass over all cases of a data set, then promises on random halves of its patients."""
    if (acdc is None) != (weights is None) or (acdc is None and hippocampus is None):
        raise click.UsageError("Give --acdc with --weights, or --hippocampus, or all of them.")
    start = time.perf_counter()
    tables: dict[str, dict[str, LossTable]] = {}
    if acdc is not None and weights is not None:
        tables["ACDC"] = acdc_tables(acdc, weights, slices, patients)
    if hippocampus is not None:
        tables["hippocampus"] = hippocampus_tables(hippocampus, 4, epochs, seed)
    rows = [line for name, of in tables.items() for line in lines(name, of, alpha, delta, tau, splits, seed)]
    click.echo(f"\nalpha = {alpha}, delta = {delta}, tau = {tau}, {splits} splits, seed {seed}; means over classes\n")
    head = ("data (cal. / test)", "loss", "promise", "promised", "observed (s.d.)", "splits above", "nothing said")
    click.echo("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    click.echo("\n".join(rows))
    click.echo(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
