"""Pictures of the study: methods side by side, settings as heat maps, set size by threshold, and three images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.common.rows import known
from benchmarks.study.cases import StudyCase
from benchmarks.study.measure import StudyCandidate
from monai_rwcp.scores import WalkedScore
from monai_rwcp.tune import SetCurves, efficiency, tuning_thresholds
from monai_rwcp.utils.files import written_whole

__all__ = ["save_images", "save_methods", "save_settings", "save_slopes", "slopes"]

_RED, _GREEN, _BLUE = "#c0392b", "#27ae60", "#2471a3"


def save_methods(columns: Mapping[str, Mapping[str, Sequence[float]]], title: str, path: Path) -> None:
    """Draw a panel for each figure, with a bar for each method: mean over splits, and their standard deviation."""
    from matplotlib.figure import Figure

    methods = list(next(iter(columns.values())))
    figure = Figure(figsize=(3.4 * len(columns) + 3, 0.32 * len(methods) + 1.2), layout="constrained")
    all_axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, (name, by_method) in zip(all_axes, columns.items(), strict=True):
        found = [known(by_method[m]) for m in methods]
        means = [fmean(values) if values else math.nan for values in found]
        deviations = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for values in found]
        colors = [_BLUE if m.startswith("walk") else _GREEN if m.startswith("what") else "#909497" for m in methods]
        axes.barh(methods, means, xerr=deviations, color=colors, ecolor="black", capsize=2)
        axes.axvline(means[0], color=_RED, linewidth=1, linestyle="--")
        axes.set_title(name)
    all_axes[0].invert_yaxis()
    figure.suptitle(title)
    _save(figure, path)


def save_settings(
    pooled: Mapping[StudyCandidate, SetCurves], source: str, alpha: float, title: str, path: Path
) -> None:
    """Draw stretch for pairs of settings, each cell the mean over the rest, of walks on the usual grid."""
    from matplotlib.figure import Figure

    walks = [c for c in pooled if isinstance(c, WalkedScore) and c.source == source and c.walk.center]
    usual = Counter(c.walk.grid for c in walks).most_common(1)[0][0]
    walks = [c for c in walks if c.walk.grid == usual]
    values = {c: float(efficiency(pooled[c], alpha)[0][0]) for c in walks}
    pairs = (("k", "beta"), ("n_steps", "restart"), ("spatial_weight", "beta"), ("keep_peak", "n_steps"))
    figure = Figure(figsize=(4 * len(pairs), 3.6), layout="constrained")
    for axes, (down, across) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        rows, columns = (sorted({getattr(c.walk, name) for c in walks}) for name in (down, across))
        cells = np.array(
            [
                [
                    _mean(values[c] for c in walks if (getattr(c.walk, down), getattr(c.walk, across)) == (r, q))
                    for q in columns
                ]
                for r in rows
            ]
        )
        axes.imshow(cells, cmap="viridis_r", aspect="auto")
        for i, j in np.ndindex(cells.shape):
            box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none"}
            axes.text(j, i, f"{cells[i, j]:.3g}", ha="center", va="center", bbox=box)
        axes.set_xticks(range(len(columns)), [f"{q:g}" for q in columns])
        axes.set_yticks(range(len(rows)), [f"{r:g}" for r in rows])
        axes.set_xlabel(across)
        axes.set_ylabel(down)
    figure.suptitle(title)
    _save(figure, path)


def slopes(curves: SetCurves, alpha: float) -> tuple[float, float]:
    r"""How much set size changes around the threshold, as means over classes.

    Returns:
        :math:`\mathrm{d}\log q/\mathrm{d}\lambda`, by a lambda .02 lower and higher (lambda is 1 less the threshold;
        by less where the threshold is less than .04 away from 0 or 1), and the same by promise: the relative change of
        stretch between alpha .02 higher and lower, over .04.
    """
    thresholds, along_threshold, along_alpha = tuning_thresholds(), [], []
    for row in range(len(curves.classes)):
        rate, stretch, step = _means(curves, row, alpha)
        threshold = float(thresholds[step])
        apart = min(0.02, threshold / 2, (1 - threshold) / 2)
        low, high = (np.interp(threshold + d, thresholds, stretch) for d in (-apart, apart))
        along_threshold.append(float(np.log(low / high)) / (2 * apart) if apart else math.nan)
        wide, tight = (stretch[int((rate <= a).sum()) - 1] for a in (alpha - 0.02, alpha + 0.02))
        along_alpha.append(float(np.log(wide / tight)) / 0.04)
    return fmean(along_threshold), fmean(along_alpha)


def save_slopes(
    curves: Mapping[str, SetCurves], class_names: Sequence[str], alpha: float, title: str, path: Path
) -> None:
    """Draw stretch along the threshold, and along what is missed, for every class; a point is where alpha is missed."""
    from matplotlib.figure import Figure

    first = next(iter(curves.values()))
    figure = Figure(figsize=(4.2 * len(first.classes), 6.6), layout="constrained")
    panels = figure.subplots(2, len(first.classes), squeeze=False)
    for row, c in enumerate(first.classes):
        for name, of in curves.items():
            rate, stretch, step = _means(of, row, alpha)
            for axes, along in ((panels[0][row], tuning_thresholds()), (panels[1][row], rate)):
                axes.semilogy(along, stretch, label=name)
                axes.plot(along[step], stretch[step], "o", color=axes.lines[-1].get_color())
        panels[0][row].set_title(class_names[c])
        panels[0][row].set_xlabel("threshold, 1 - lambda")
        panels[1][row].set_xlabel("mean false negative rate")
        panels[1][row].set_xlim(0, 0.4)
        for axes in (panels[0][row], panels[1][row]):
            axes.set_ylim(bottom=0.05)
            axes.set_ylabel("stretch")
            axes.grid(alpha=0.3)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center")
    figure.suptitle(title)
    _save(figure, path)


def save_images(
    shown: Sequence[tuple[str, StudyCase, np.ndarray, Mapping[str, np.ndarray]]], c: int, title: str, path: Path
) -> None:
    """Draw a row for each image: image and truth, plain and walked score, their difference, and both sets.

    Args:
        shown: heading, case, walked score ``[*spatial]`` of the class, and sets ``[*spatial]`` by name of the method.
        c: the class.
        title: above all.
        path: the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(18, 3.4 * len(shown)), layout="constrained")
    panels_of = figure.subplots(len(shown), 4 + len(shown[0][3]), squeeze=False)
    for all_axes, (heading, case, walked, sets) in zip(panels_of, shown, strict=True):
        label, image = case.label[0].numpy(), case.image[0].numpy()
        z = int((label == c).sum(axis=(0, 1)).argmax()) if label.ndim == 3 else None

        def cut(array: np.ndarray, z: int | None = z) -> np.ndarray:
            return array if z is None else array[..., z]

        plain, truth = cut(case.probabilities[c].numpy()), cut(label == c)
        panels = {
            "image, truth": (cut(image), "gray", None),
            "S(0)": (plain, "magma", (0, 1)),
            "S(n)": (cut(walked), "magma", (0, 1)),
            "S(n) - S(0)": (cut(walked) - plain, "RdBu_r", (-0.5, 0.5)),
            **{f"set, {name}": (cut(image), "gray", None) for name in sets},
        }
        for axes, (name, (values, colors, limits)) in zip(all_axes, panels.items(), strict=True):
            axes.imshow(values, cmap=colors, **({} if limits is None else {"vmin": limits[0], "vmax": limits[1]}))
            if name.startswith("set, "):
                mask = cut(sets[name.removeprefix("set, ")])
                axes.imshow(np.ma.masked_where(~mask, mask), cmap="autumn", alpha=0.45)
            if truth.any():
                axes.contour(truth, levels=[0.5], colors=[_GREEN], linewidths=1)
            axes.set_title(name, fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
        all_axes[0].set_ylabel(heading, fontsize=9)
    figure.suptitle(title)
    _save(figure, path)


def _means(curves: SetCurves, row: int, alpha: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean rate and stretch of a class by threshold, and the number of the one at which alpha is missed."""
    shows = curves.true[:, row] > 0
    rate, stretch = (x[shows, row].mean(axis=0) for x in (curves.false_negative_rate, curves.stretch))
    return rate, stretch, int((rate <= alpha).sum()) - 1


def _mean(values: object) -> float:
    found = list(values)  # type: ignore[call-overload]
    return fmean(found) if found else float("nan")


def _save(figure: object, path: Path) -> None:
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=90, format="png")  # type: ignore[attr-defined]
