"""The pictures of these pages, drawn from simulated patients: `python docs/understanding/pictures.py`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter

from monai_rwcp import Calibration, LossTable, WalkSettings, calibrate, false_negative_rate_table
from monai_rwcp.conformal import threshold_levels
from monai_rwcp.monitoring import realised_losses
from monai_rwcp.report import plot_prediction_set
from monai_rwcp.walk import diffuse_probabilities
from monai_rwcp.walk.image_graph import image_graph

ALPHA = 0.1
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
TEXT = {
    "font.size": 16,
    "axes.titlesize": 16,
    "legend.fontsize": 14,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def simulated_patients(n: int, *, n_slices: int, spread: float, seed: int) -> LossTable:
    """Count the missed voxels of patients who differ in how hard they are, and of whose slices each is a bit its own.

    Args:
        n: how many.
        n_slices: of each.
        spread: standard deviation of what a slice adds to its patient, on the logit scale.
        seed: of all random numbers.
    """
    random = np.random.default_rng(seed)
    tables = []
    for i in range(n):
        patient = random.normal(1.7, 1.1)
        for j in range(n_slices):
            logits = patient + random.normal(0, spread) + random.normal(0, 1.0, 200 // n_slices + 10)
            score = torch.from_numpy(1 / (1 + np.exp(-logits))).reshape(1, 1, -1)
            label = torch.ones_like(score)
            name = f"patient {i}"
            tables.append(
                false_negative_rate_table(
                    score, label, unit=name, image=f"{name}, slice {j}", unit_name="patient", label_mode="regions"
                )
            )
    return LossTable.join(tables)


def missed_in(table: LossTable, units: Sequence[str], calibration: Calibration) -> np.ndarray:
    """Missed share of each of some patients at the threshold of a calibration."""
    return np.array(list(realised_losses(table.only(set(units)), calibration)[0].values()))


def draws(table: LossTable, n: int, count: Callable[[LossTable], Calibration], seed: int = 0) -> np.ndarray:
    """Mean missed share of new patients for 200 random choices of ``n`` calibration patients."""
    random, means = np.random.default_rng(seed), []
    for _ in range(200):
        order = random.permutation(table.units).tolist()
        means.append(missed_in(table, order[n:], count(table.only(set(order[:n])))).mean())
    return np.array(means)


def curve() -> Figure:
    """The losses of 40 patients against lambda, and where the calibration stops."""
    table = simulated_patients(40, n_slices=1, spread=0, seed=1)
    entry = calibrate(table, ALPHA).classes[0]
    lambdas = np.linspace(0.2, 1, 201)
    sizes = table.true(0)
    steps = np.searchsorted(threshold_levels(), 1 - lambdas)
    losses = table.missed(0)[:, np.minimum(steps, len(threshold_levels()) - 1)] / sizes[:, None]
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(lambdas, losses.T, color="0.8", linewidth=0.8)
    axes.plot([], [], color="0.8", label="a patient")
    axes.plot(lambdas, losses.mean(axis=0), color="black", linewidth=2.5, label="mean of 40 patients")
    axes.axhline(ALPHA, color=ORANGE, linestyle="dotted", linewidth=2, label="promised: 10 %")
    axes.axhline(
        entry.working_level, color=ORANGE, linestyle="dashed", label=f"allowed: {100 * entry.working_level:.2f} %"
    )
    axes.plot(entry.lambda_hat, entry.empirical_risk, "o", color=BLUE, markersize=10, zorder=5)
    axes.annotate(
        rf"$\hat\lambda$ = {entry.lambda_hat:.2f}",
        (entry.lambda_hat, entry.empirical_risk),
        (entry.lambda_hat - 0.02, 0.42),
        color=BLUE,
        arrowprops={"arrowstyle": "->", "color": BLUE},
    )
    axes.set(xlim=(0.2, 1), ylim=(0, 1), ylabel="false negative rate")
    axes.set_xlabel(r"$\lambda$ (larger sets to the right; 1: whole image)")
    axes.legend(frameon=False, loc="upper right")
    return figure


def _histogram(axes: Axes, values: np.ndarray, title: str, colour: str, top: float) -> None:
    axes.hist(100 * values, bins=np.linspace(0, top, 41), color=colour)
    axes.axvline(100 * ALPHA, color="black", linestyle="dashed", linewidth=1.5)
    axes.set_title(title, loc="left")
    axes.set_yticks([])


def splits() -> Figure:
    """What 200 calibrations on 100 patients miss in new ones: the average promise, and the one with certainty."""
    table = simulated_patients(600, n_slices=1, spread=0, seed=2)
    average = draws(table, 100, lambda some: calibrate(some, ALPHA))
    certain = draws(table, 100, lambda some: calibrate(some, ALPHA, "rcps", delta=0.05, bound="betting"))
    figure = Figure(figsize=(7, 4.8), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, values, what, colour in (
        (panels[0], average, "average", BLUE),
        (panels[1], certain, "certainty 95 %", GREEN),
    ):
        title = f"{what}: mean {100 * values.mean():.1f} %, above 10 %: {np.sum(values > ALPHA)} of 200"
        _histogram(axes, values, title, colour, 20)
    panels[1].set_xlabel("missed by each calibration, in % (dashed: promised)")
    return figure


def patients() -> Figure:
    """What one calibration misses in each of 560 new patients."""
    table = simulated_patients(600, n_slices=1, spread=0, seed=2)
    order = np.random.default_rng(3).permutation(table.units).tolist()
    missed = missed_in(table, order[40:], calibrate(table.only(set(order[:40])), ALPHA))
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.hist(100 * missed, bins=np.linspace(0, 100, 41), color=BLUE)
    axes.axvline(100 * ALPHA, color="black", linestyle="dashed", linewidth=1.5)
    title = f"560 patients: mean {100 * missed.mean():.1f} %, above 30 %: {np.sum(missed > 0.3)}"
    axes.set_title(title, loc="left")
    axes.set_xlabel("missed in a patient, in % (dashed: promised mean)")
    axes.set_ylabel("patients")
    return figure


def units() -> Figure:
    """The same calibration patients, counted as patients and as slices."""
    table = simulated_patients(400, n_slices=20, spread=0.4, seed=4)

    def by_slice(some: LossTable) -> Calibration:
        own = {name: replace(image, unit=name) for name, image in some.images.items()}
        return calibrate(replace(some, images=own, unit_name="image"), ALPHA)

    figure = Figure(figsize=(7, 4.8), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for axes, count, what, colour in (
        (panels[0], lambda some: calibrate(some, ALPHA), "12 patients", BLUE),
        (panels[1], by_slice, "240 slices", ORANGE),
    ):
        values = draws(table, 12, count)
        title = f"{what}: mean {100 * values.mean():.1f} %, above 10 %: {np.sum(values > ALPHA)} of 200"
        _histogram(axes, values, title, colour, 30)
    panels[1].set_xlabel("missed by each calibration, in % (dashed: promised)")
    return figure


def method() -> Figure:
    """One image on its way through the method."""
    random = np.random.default_rng(7)
    x, y = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    angle = np.arctan2(y - 30, x - 32)
    truth = np.hypot((x - 32) / 19, (y - 30) / 14) < 1 + 0.12 * np.cos(3 * angle)
    organ = gaussian_filter(truth * 1.0, 1)
    beside = gaussian_filter((np.hypot((x - 50) / 9, (y - 54) / 8) < 1) * 1.0, 1)
    image = 0.3 + 0.3 * organ + 0.5 * beside + 0.3 * gaussian_filter(random.standard_normal((64, 64)), 4)
    image += 0.06 * random.standard_normal((64, 64))
    doubt = gaussian_filter(random.standard_normal((64, 64)), 1.6)
    logits = 6.0 * (gaussian_filter(truth + 0.4 * beside, 3) - 0.5) + 1.5 * doubt / doubt.std()
    network = 1 / (1 + np.exp(-logits))
    features = np.stack([gaussian_filter(image, s) for s in (1, 2, 4)])
    features = torch.from_numpy((features - features.mean((1, 2), keepdims=True)) / features.std((1, 2), keepdims=True))
    walk = WalkSettings(k=20, beta=20.0, n_steps=20, restart=0.2, spatial_weight=1.0, grid=2, keep_peak=True)
    walked = diffuse_probabilities(torch.from_numpy(network)[None], features, walk)[0].numpy()
    figure = Figure(figsize=(7, 10.2), layout="constrained")
    panels = figure.subplots(3, 2).ravel()
    for axes, values, colours, title in (
        (panels[0], image, "gray", "1 image"),
        (panels[1], network, "cividis", "2 probability map"),
        (panels[2], image, "gray", "3 neighbours"),
        (panels[3], walked, "cividis", "4 after the walk"),
    ):
        limits = {"vmin": 0, "vmax": 1} if colours == "cividis" else {}
        axes.imshow(values.T, origin="lower", cmap=colours, interpolation="nearest", **limits)
        axes.set_title(title, loc="left")
        axes.set_axis_off()
    graph = image_graph(features, (64, 64), walk)
    for node, colour in ((32 * 14 + 9, ORANGE), (32 * 25 + 27, BLUE)):
        there = graph.neighbors[node].numpy()
        own = (2 * (node // 32) + 0.5, 2 * (node % 32) + 0.5)
        for i, j in zip(2 * (there // 32) + 0.5, 2 * (there % 32) + 0.5, strict=True):
            panels[2].plot([own[0], i], [own[1], j], color=colour, linewidth=1)
            panels[2].plot(i, j, "o", color=colour, markersize=4)
        panels[2].plot(*own, "s", color=colour, markersize=9, markeredgecolor="white")
    for axes, score, title in ((panels[4], network, "5a plain"), (panels[5], walked, "5b walked")):
        threshold = np.quantile(score[truth], ALPHA, method="lower")
        found = score >= threshold
        plot_prediction_set(image, found * 1.0, truth * 1.0, axes=axes)
        axes.set_title(f"{title}: {found.sum() / truth.sum():.2f} x the organ", loc="left")
        axes.set_axis_off()
    return figure


PICTURES = {"curve": curve, "splits": splits, "patients": patients, "units": units, "method": method}


def draw(folder: Path) -> list[Path]:
    """Draw all pictures into a folder, in 200 colours each, which keeps the files small."""
    written = []
    for name, make in PICTURES.items():
        with matplotlib.rc_context({**TEXT, "axes.spines.top": False, "axes.spines.right": False}):
            content = io.BytesIO()
            make().savefig(content, format="png", dpi=100)
        with Image.open(content) as picture:
            few = picture.convert("RGB").quantize(200, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        written.append(folder / f"{name}.png")
        few.save(written[-1], optimize=True)
    return written


if __name__ == "__main__":
    for path in draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent):
        print(path, path.stat().st_size)
