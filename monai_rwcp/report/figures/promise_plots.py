"""Plots of a promise on matplotlib axes, for notebooks: the risk of a calibration, and what was observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.conformal.promises.calibrate import calibrate
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.report.cautions import is_compared
from monai_rwcp.report.figures.canvas import LIMIT_COLOUR, new_figure
from monai_rwcp.report.intervals import observed_interval
from monai_rwcp.utils.shown_text import figure_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_observed", "plot_risk"]


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
        axes.axhline(level, color=LIMIT_COLOUR, linestyle="dashed", label=f"working level: {level:.4g}")
    axes.axvline(entry.lambda_hat, color=LIMIT_COLOUR, linewidth=0.8)
    calibrated = rf"$\hat\lambda$ = {entry.lambda_hat:.4f}"
    axes.plot([entry.lambda_hat], [entry.empirical_risk], "o", color=LIMIT_COLOUR, label=calibrated)
    # The empty set of an inner calibration has lambda -1.
    axes.set(xlim=(min(0.0, entry.lambda_hat), 1.0), ylim=(0.0, 1.0), ylabel="loss")
    axes.set_xlabel(r"$\lambda$ (prediction sets grow to the right)")
    axes.set_title(figure_text(calibration.class_name(class_index)))
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
        ...     classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)})
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
    axes.set_yticks(range(len(rates)), [figure_text(calibration.class_name(c)) for c in figures])
    shown = np.nan_to_num(np.append(rates + margins[1], calibration.promised.alpha if compared else 0.0))
    right = 100 * min(1.0, 1.15 * float(shown.max()) + 0.01)
    axes.set(xlim=(-0.02 * right, right), ylim=(len(rates) - 0.4, -0.6))
    axes.set_xlabel("missed share of the truth in %" + ("; dashed: the promise" if compared else ""))
    if compared:
        axes.axvline(100 * calibration.promised.alpha, color=LIMIT_COLOUR, linestyle="--")
    return axes
