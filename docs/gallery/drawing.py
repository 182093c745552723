"""What several pictures of the gallery share: a histogram beside the promise, and the promise's colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

LIMIT, FIRST, SECOND = "#c0392b", "#0072B2", "#E69F00"


def new_figure(height: float = 3.4) -> Figure:
    """A figure as wide as those of the package, so that all have letters of one size."""
    return Figure(figsize=(5.5, height), layout="constrained")


def histogram(path: str, rates: Mapping[str, Sequence[float]], of_what: str, counted: str, at: float = 10) -> None:
    """Draw how rates in % are spread, and the line that a promise is about."""
    figure = new_figure(1.2 + 1.9 * len(rates))
    top = max(2 * at, *(max(of) for of in rates.values()))
    panels = figure.subplots(len(rates), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, of) in zip(panels, rates.items(), strict=True):
        axes.hist(of, bins=np.linspace(0, top, 41).tolist(), color=FIRST, edgecolor="white")
        axes.axvline(at, color=LIMIT, linestyle="dashed")
        axes.set_title(name, fontsize=10)
        axes.set_ylabel(counted)
    axes.set_xlabel(of_what)
    figure.savefig(path, dpi=140)
