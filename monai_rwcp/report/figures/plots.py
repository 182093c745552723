"""Plots on matplotlib axes, for notebooks: a prediction set, the risk of a calibration, and what was observed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor

from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.conformal.promises.calibrate import calibrate
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.metrics.prediction_set import check_mask, check_spacing
from monai_rwcp.report.cautions import is_compared
from monai_rwcp.report.tables.intervals import observed_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "LIMIT_COLOUR",
    "MISSED_COLOUR",
    "SET_COLOUR",
    "TRUTH_COLOUR",
    "new_figure",
    "plot_observed",
    "plot_prediction_set",
    "plot_risk",
]

# Told apart in black and white by their lines: the truth is solid, the set dashed, the inner set dotted.
TRUTH_COLOUR, SET_COLOUR, MISSED_COLOUR = (0.0, 0.85, 0.35), (1.0, 0.6, 0.0), (0.9, 0.1, 0.2)
_INNER_COLOUR, LIMIT_COLOUR = (0.35, 0.75, 1.0), "#c0392b"


def plot_prediction_set(
    image: NdarrayOrTensor,
    found: NdarrayOrTensor,
    truth: NdarrayOrTensor | None = None,
    *,
    inner: NdarrayOrTensor | None = None,
    spacing: Sequence[float] = (1.0, 1.0),
    axes: Axes | None = None,
) -> Axes:
    """Plot the prediction set of one class over one slice.

    The set is outlined in dashed orange, the truth in solid green, the inner set in dotted blue; what the set misses is
    filled in red. The first array axis runs from left to right and the second upwards, as viewers show them.

    Args:
        image: float ``[x, y]``; grey from its 0.5th to its 99.5th percentile.
        found: the set, zeros and ones of the same shape.
        truth: zeros and ones of the same shape; None where it is not known.
        inner: what is surely the structure, zeros and ones of the same shape; None for none.
        spacing: pixel size along the two axes in mm.
        axes: what is drawn on, its other contents are kept. Defaults to None: axes of a new figure, with a legend; in
            a notebook ``plot_prediction_set(...).figure`` shows it.

    Returns:
        the axes, in mm; what is drawn has labels, for ``axes.legend()``.

    Raises:
        ImportError: when matplotlib is missing.
        ValueError: when the arrays are not of one 2D shape, a mask holds other values, or the spacing does not fit.

    Example:
        >>> import torch
        >>> found, truth = torch.zeros(2, 12, 10)
        >>> found[3:9, 2:7], truth[4:10, 2:7] = 1, 1
        >>> axes = plot_prediction_set(torch.rand(12, 10), found, truth, spacing=(1.5, 2.0))
        >>> [float(mm) for mm in (*axes.get_xlim(), *axes.get_ylim())]
        [0.0, 18.0, 0.0, 20.0]
    """
    given = {"image": image, "found": found, "truth": truth, "inner": inner}
    tensors = {
        name: torch.as_tensor(convert_to_tensor(array, track_meta=False)).cpu()
        for name, array in given.items()
        if array is not None
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) != 1 or tensors["image"].ndim != 2:
        raise ValueError(f"Expected arrays of one 2D shape, but got {shapes}. Take one class and one slice.")
    masks = {name: check_mask(name, tensor).numpy() for name, tensor in tensors.items() if name != "image"}
    sizes = check_spacing(spacing, 2) or [1.0, 1.0]
    grey = tensors["image"].numpy()
    width, height = (n * size for n, size in zip(grey.shape, sizes, strict=True))
    extent = (0.0, width, 0.0, height)
    own = axes is None
    if axes is None:
        axes = new_figure((5.0, 1.0 + 4.0 * min(max(height / width, 0.4), 2.0))).subplots()
    low, high = np.percentile(grey, (0.5, 99.5))
    axes.imshow(grey.T, origin="lower", extent=extent, cmap="gray", vmin=low, vmax=high)
    if "truth" in masks:
        missed = masks["truth"] & ~masks["found"]
        layer = np.zeros((*missed.T.shape, 4))
        layer[missed.T] = (*MISSED_COLOUR, 0.5)
        axes.imshow(layer, origin="lower", extent=extent, interpolation="nearest")
        axes.fill([], [], color=MISSED_COLOUR, alpha=0.5, label="missed")
    for name, colour, style, label in (
        ("truth", TRUTH_COLOUR, "solid", "truth"),
        ("found", SET_COLOUR, "dashed", "prediction set"),
        ("inner", _INNER_COLOUR, "dotted", "inner set"),
    ):
        if name in masks:
            if masks[name].any():
                x, y, heights = _stairs(masks[name], sizes)
                axes.contour(x, y, heights, levels=[0.5], colors=[colour], linestyles=[style], linewidths=1.8)
            axes.plot([], [], color=colour, linestyle=style, label=label)
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_axis_off()
    if own:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False)
    return axes


def plot_risk(
    table: LossTable, alpha: float = 0.1, *, class_index: int, axes: Axes | None = None, **options: Any
) -> Axes:
    r"""Plot the mean loss of the calibration units against :math:`\lambda`, and where `calibrate` stops.

    The bold line is the mean, the thin ones are the units. The dotted line is ``alpha``, the dashed one the mean that
    these units may have (lower, since they are few), and the dot the calibrated :math:`\hat\lambda`.

    Args:
        table: loss counts of the calibration units, such as ``handler.table``.
        alpha: what is promised, see :py:func:`monai_rwcp.conformal.calibrate`.
        class_index: one of the table's classes.
        axes: what is drawn on. Defaults to None: axes of a new figure; in a notebook ``plot_risk(...).figure`` shows
            it.
        options: other arguments of `calibrate` (``method``, ``delta``, ``unit_loss``, ``class_names`` ...), except
            groups and weights, where there is more than one :math:`\hat\lambda`.

    Returns:
        the axes.

    Raises:
        ImportError: when matplotlib is missing.
        ValueError: when the class is not in the table, groups or weights are asked for, or as in `calibrate`.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import false_negative_rate_table
        >>> score = torch.rand(2, 8, 8)
        >>> tables = [false_negative_rate_table(score, score[:1] > 0.5, unit=str(i)) for i in range(20)]
        >>> plot_risk(LossTable.join(tables), class_index=1).get_xlabel()
        '$\\lambda$ (prediction sets grow to the right)'
    """
    if class_index not in table.classes:
        raise ValueError(f"Class {class_index} is not in this table; its classes are {list(table.classes)}.")
    calibration = calibrate(replace(table, classes=(class_index,)), alpha, **options)
    if calibration.groups is not None or calibration.weighted is not None:
        raise ValueError("With groups or weights there is more than one lambda: plot `table.only(units)` of one group.")
    losses = UnitLosses(table, class_index, calibration.counting)
    entry = calibration.classes[class_index]
    axes = new_figure((5.5, 3.8)).subplots() if axes is None else axes
    lambdas, unit = 1 - losses.thresholds, table.unit_name
    axes.plot(lambdas, losses.by_unit.T, color="0.75", linewidth=0.6)
    share = (
        "mean loss"
        if calibration.promised.tau is None
        else f"share of {unit}s that lose more than {1 - calibration.promised.tau:g}"
    )
    axes.plot(
        lambdas, losses.mean(calibration.promised.tau), color="black", linewidth=2, label=f"{share} ({entry.n} {unit}s)"
    )
    axes.axhline(alpha, color=LIMIT_COLOUR, linestyle="dotted", label=f"promised: {alpha:g}")
    if entry.working_level is not None:
        level = entry.working_level
        axes.axhline(level, color=LIMIT_COLOUR, linestyle="dashed", label=f"allowed here: {level:.4g}")
    axes.axvline(entry.lambda_hat, color=LIMIT_COLOUR, linewidth=0.8)
    calibrated = rf"$\hat\lambda$ = {entry.lambda_hat:.4f}"
    axes.plot([entry.lambda_hat], [entry.empirical_risk], "o", color=LIMIT_COLOUR, label=calibrated)
    # The empty set of an inner calibration has lambda -1.
    axes.set(xlim=(min(0.0, entry.lambda_hat), 1.0), ylim=(0.0, 1.0), ylabel="loss")
    axes.set_xlabel(r"$\lambda$ (prediction sets grow to the right)")
    axes.set_title(_plain_text(calibration.class_name(class_index)))
    axes.legend()
    return axes


def plot_observed(
    calibration: Calibration, figures: Mapping[int, Mapping[str, float]], *, axes: Axes | None = None
) -> Axes:
    """Plot observed false negative rates with their 95 % intervals, and the promise where it is about these rates.

    Args:
        calibration: what was promised.
        figures: of each class, see :py:func:`monai_rwcp.metrics.class_figures`.
        axes: what is drawn on. Defaults to None: axes of a new figure; in a notebook ``plot_observed(...).figure``
            shows it.

    Returns:
        the axes.

    Raises:
        ImportError: when matplotlib or scipy is missing.

    Example:
        >>> from monai_rwcp.conformal import ClassCalibration, Promise
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)}, provenance={})
        >>> axes = plot_observed(calibration, {1: {"fnr": 0.08, "fnr_standard_error": 0.01, "n_units": 40}})
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['class 1']
    """
    axes = new_figure((5.5, 0.9 + 0.45 * len(figures))).subplots() if axes is None else axes
    compared = is_compared(calibration)
    rates = np.array([of_class["fnr"] for of_class in figures.values()])
    ends = np.array([observed_interval(of_class) for of_class in figures.values()])
    margins = np.nan_to_num(np.abs(ends.T - rates))
    axes.errorbar(100 * rates, range(len(rates)), xerr=100 * margins, fmt="o", color="black", capsize=4)
    axes.set_yticks(range(len(rates)), [_plain_text(calibration.class_name(c)) for c in figures])
    shown = np.nan_to_num(np.append(rates + margins[1], calibration.promised.alpha if compared else 0.0))
    right = 100 * min(1.0, 1.15 * float(shown.max()) + 0.01)
    axes.set(xlim=(-0.02 * right, right), ylim=(len(rates) - 0.4, -0.6))
    axes.set_xlabel("missed share of the truth in %" + ("; dashed: the promise" if compared else ""))
    if compared:
        axes.axvline(100 * calibration.promised.alpha, color=LIMIT_COLOUR, linestyle="--")
    return axes


def _plain_text(text: str) -> str:
    """Not a formula, whatever signs are in it."""
    return text.replace("$", r"\$")


def _stairs(mask: np.ndarray, sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights whose contour runs along the edges of the pixels, with a margin that closes it at the image's edge."""
    padded = np.pad(mask.astype(float), 1)
    # Each pixel twice along each axis, at its two edges: nothing lies between it and its neighbour's.
    x, y = (
        ((np.arange(-1, n - 1)[:, None] + [0.001, 0.999]) * size).ravel()
        for n, size in zip(padded.shape, sizes, strict=True)
    )
    return x, y, padded.repeat(2, axis=0).repeat(2, axis=1).T


def new_figure(size: tuple[float, float]) -> Figure:
    """Make a figure that no global state of pyplot keeps.

    Args:
        size: width and height in inches.

    Raises:
        ImportError: when matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure as FreeFigure
    except ModuleNotFoundError as error:
        raise ImportError('Drawing needs matplotlib: pip install "monai-rwcp[report]".') from error
    return FreeFigure(figsize=size, layout="constrained")
