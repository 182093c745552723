"""Charts of the report, as SVG without references to the web."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from monai_rwcp.conformal import Calibration
from monai_rwcp.metrics import ImageFigures, unit_false_negative_rates
from monai_rwcp.report.plots import new_figure, plot_observed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["histograms", "observed_chart"]


def observed_chart(calibration: Calibration, figures: Mapping[int, Mapping[str, float]]) -> str:
    """Observed rates with their 95 % intervals beside the promise, as SVG.

    Args:
        calibration: what was promised.
        figures: of each class, see :py:func:`monai_rwcp.metrics.class_figures`.
    """
    figure = new_figure((6.5, 0.6 + 0.45 * len(figures)))
    plot_observed(calibration, figures, axes=figure.subplots())
    return _svg(figure)


def histograms(calibration: Calibration, by_class: Mapping[int, Sequence[ImageFigures]]) -> str:
    """How missed shares of patients and stretches of images are spread, as SVG.

    Args:
        calibration: what was promised.
        by_class: figures of all images by class.
    """
    figure = new_figure((3.1 * len(by_class), 4.2))
    panels = figure.subplots(2, len(by_class), squeeze=False)
    for column, (c, of_class) in enumerate(by_class.items()):
        rates = list(unit_false_negative_rates(of_class).values())
        stretches = [image.metrics.stretch for image in of_class if image.metrics.true]
        panels[0][column].hist(rates, bins=np.linspace(0, 1, 21).tolist(), color="#5d6d7e", edgecolor="white")
        panels[0][column].axvline(calibration.alpha, color="#c0392b", linestyle="--")
        panels[0][column].set_title(calibration.class_name(c), fontsize=10)
        panels[0][column].set_xlabel("missed share (patients)")
        panels[1][column].hist(stretches, bins=20, color="#aab7b8", edgecolor="black", hatch="//")
        panels[1][column].set_xlabel("stretch (images)")
    return _svg(figure)


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    # A date, and references to the web that matplotlib writes otherwise, have no place in the page.
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    return text[text.index("<svg") :]
