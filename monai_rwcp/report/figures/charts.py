"""Charts of the report, as SVG without references to the web."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.set_sizes import curve_thresholds
from monai_rwcp.report.figures.canvas import LIMIT_COLOUR, new_figure
from monai_rwcp.report.figures.promise_plots import plot_observed
from monai_rwcp.utils.shown_text import figure_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["missed_histogram", "observed_chart", "size_curve", "stretch_histogram"]

_PANEL = (3.4, 2.5)


def observed_chart(calibration: Calibration, figures: Mapping[int, Mapping[str, float]]) -> str:
    """Observed rates with their 95 % intervals beside the promise, as SVG.

    Args:
        calibration: what was promised.
        figures: of each class, see :py:func:`monai_rwcp.metrics.class_figures`.
    """
    figure = new_figure((4.4, 0.75 + 0.4 * len(figures)))
    plot_observed(calibration, figures, axes=figure.subplots())
    return _svg(figure, "observed")


def missed_histogram(rates: Sequence[float], alpha: float | None, unit_name: str) -> str:
    """How the missed shares of patients are spread, as SVG.

    Args:
        rates: in [0, 1].
        alpha: what is promised of their mean; None leaves it out.
        unit_name: whose they are, such as "patient".
    """
    figure = new_figure(_PANEL)
    axes = figure.subplots()
    axes.hist(100 * np.array(rates), bins=np.linspace(0, 100, 21).tolist(), color="#5d6d7e", edgecolor="white")
    axes.axvline(100 * float(np.mean(rates)) if len(rates) else 0.0, color="black")
    if alpha is not None:
        axes.axvline(100 * alpha, color=LIMIT_COLOUR, linestyle="--")
    axes.set(xlabel="missed share in %", ylabel=figure_text(f"{unit_name}s"))
    return _svg(figure, "missed")


def stretch_histogram(stretches: Sequence[float]) -> str:
    """How the sizes of sets over those of truths are spread, as SVG."""
    figure = new_figure(_PANEL)
    axes = figure.subplots()
    axes.hist(stretches, bins=20, color="#d5dbdb", edgecolor="black", hatch="//")
    axes.axvline(1.0, color="black", linestyle=":")
    axes.set(xlabel="set size over size of the truth", ylabel="images")
    return _svg(figure, "stretch")


def size_curve(stretches: np.ndarray, threshold: float | None, observed: float) -> str:
    """Set size over size of the truth against lambda, as SVG: its mean and quartiles.

    Args:
        stretches: float ``[images, 33]``, at each of :py:func:`monai_rwcp.conformal.curve_thresholds`.
        threshold: the calibrated one, ``1 - lambda_hat``; None when there is no single one.
        observed: mean stretch of the sets.
    """
    figure = new_figure(_PANEL)
    axes = figure.subplots()
    # Lambda on a logit scale, computed from the threshold: near 1 it would lose its digits.
    at = _logit_of_lambda(curve_thresholds().astype(float))[::-1]
    lower, upper = np.quantile(stretches, [0.25, 0.75], axis=0)[:, ::-1]
    mean = stretches.mean(axis=0)[::-1]
    floor = 0.05
    axes.fill_between(at, np.maximum(lower, floor / 2), np.maximum(upper, floor / 2), color="#d5dbdb")
    axes.plot(at, np.maximum(mean, floor / 2), color="black")
    axes.axhline(1.0, color="black", linestyle=":", linewidth=1)
    # From where sets are all but empty to where they have stopped growing.
    used = np.flatnonzero((mean > floor) & (mean < 0.99 * mean.max()))
    left, right = (at[max(used[0] - 1, 0)], at[min(used[-1] + 1, len(at) - 1)]) if len(used) else (at[0], at[-1])
    if threshold is not None and 0 < threshold < 1:
        marked = float(_logit_of_lambda(np.array(threshold)))
        axes.axvline(marked, color=LIMIT_COLOUR, linestyle="--")
        axes.plot([marked], [max(observed, floor / 2)], marker="D", color="black")
        left, right = min(left, marked - 1), max(right, marked + 1)
    axes.set(xlim=(left, right), ylim=(floor, max(1.5 * float(upper.max()), 2.0)), yscale="log")
    ticks: list[float] = []
    for tick in sorted(_LAMBDA_TICKS):
        # Labels need a fifth of the width.
        if left <= tick <= right - (right - left) / 20 and (not ticks or tick - ticks[-1] >= (right - left) / 5):
            ticks.append(tick)
    axes.set_xticks(ticks, [_LAMBDA_TICKS[tick] for tick in ticks])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="lambda", ylabel="size over the truth's")
    return _svg(figure, "curve")


def _logit_of_lambda(thresholds: np.ndarray) -> np.ndarray:
    return np.log1p(-thresholds) - np.log(thresholds)


_NINES = {float(np.log(10.0**n - 1)): f"$1-10^{{-{n}}}$" if n > 3 else str(1 - 10.0**-n) for n in range(1, 8)}
_LAMBDA_TICKS = (
    {-tick: f"$10^{{-{n}}}$" if n > 3 else str(10.0**-n) for n, tick in reversed(list(enumerate(_NINES, start=1)))}
    | {0.0: "0.5"}
    | _NINES
)


def _svg(figure: Figure, name: str) -> str:
    import matplotlib

    file = io.StringIO()
    # A date, and references to the web that matplotlib writes otherwise, have no place in the page. Names of the parts
    # come from the salt, not from chance.
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
