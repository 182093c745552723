"""One picture that shows a case: image, probability, walked score, both sets and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.report.figures.canvas import new_figure
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.shown_text import figure_text

__all__ = ["draw_case"]

# Told apart by colour-blind readers, and by their line styles in black and white.
_TRUTH, _SET = "#009E73", "#E69F00"


def draw_case(
    path: str | Path,
    *,
    image: np.ndarray,
    probability: np.ndarray,
    score: np.ndarray,
    plain_set: np.ndarray,
    walked_set: np.ndarray,
    truth: np.ndarray,
    title: str,
    spacing: Sequence[float] = (1.0, 1.0),
) -> None:
    """Draw one slice of a case as a PNG of six panels.

    Args:
        path: where the PNG goes; it appears whole or not at all.
        image: 2D array of grey values.
        probability: 2D array in [0, 1], the network's map of one class.
        score: 2D array in [0, 1], the walked map.
        plain_set: 2D array of 0 and 1, the prediction set without the walk.
        walked_set: 2D array of 0 and 1, the prediction set with the walk.
        truth: 2D array of 0 and 1.
        title: a line above the panels.
        spacing: pixel size along the two axes, for the proportions.

    Raises:
        ImportError: when matplotlib is missing.
        ValueError: when the arrays are not of one 2D shape.
    """
    shapes = {np.shape(a) for a in (image, probability, score, plain_set, walked_set, truth)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"Expected arrays of one 2D shape, but got {sorted(shapes)}.")
    # The first array axis runs from left to right, as viewers show it.
    height, width = np.shape(image)[1] * spacing[1], np.shape(image)[0] * spacing[0]
    extent = (0.0, width, 0.0, height)
    # A page as high as its panels need; a very flat or very tall image gets white space rather than a strange page.
    figure = new_figure((8, 1.1 + 4.6 * min(max(height / width, 0.4), 2.0)))
    figure.suptitle(figure_text(title), fontsize=11)
    panels = figure.subplots(2, 3).ravel()

    def show(panel: Any, values: np.ndarray, heading: str, **options: Any) -> Any:
        panel.set_title(heading, fontsize=10)
        panel.set_axis_off()
        return panel.imshow(np.asarray(values, dtype=float).T, origin="lower", extent=extent, **options)

    def outline(panel: Any, mask: np.ndarray, colour: str, style: str) -> None:
        if np.any(mask) and not np.all(mask):
            padded = np.pad(np.asarray(mask, dtype=float), 1)
            x = (np.arange(padded.shape[0]) - 0.5) * spacing[0]
            y = (np.arange(padded.shape[1]) - 0.5) * spacing[1]
            panel.contour(x, y, padded.T, levels=[0.5], colors=[colour], linestyles=[style], linewidths=1.6)
            # The contour's own margin would make this panel smaller than the others.
            panel.set(xlim=extent[:2], ylim=extent[2:])

    def fill(panel: Any, mask: np.ndarray, colour: str) -> None:
        from matplotlib.colors import to_rgb

        layer = np.zeros((*np.asarray(mask).T.shape, 4))
        layer[..., :3] = to_rgb(colour)
        layer[..., 3] = 0.45 * (np.asarray(mask).T > 0)
        panel.imshow(layer, origin="lower", extent=extent, interpolation="nearest")

    show(panels[0], image, "image, truth (dashed)", cmap="gray")
    outline(panels[0], truth, _TRUTH, "dashed")
    show(panels[1], probability, "network's probability", cmap="cividis", vmin=0, vmax=1)
    drawn = show(panels[2], score, "score after the walk", cmap="cividis", vmin=0, vmax=1)
    figure.colorbar(drawn, ax=list(panels[:3]), shrink=0.8)
    for panel, found, heading in (
        (panels[3], plain_set, "set without the walk"),
        (panels[4], walked_set, "set with the walk"),
    ):
        show(panel, image, heading, cmap="gray")
        fill(panel, found, _SET)
        outline(panel, found, _SET, "solid")
        outline(panel, truth, _TRUTH, "dashed")
    show(panels[5], image, "truth", cmap="gray")
    fill(panels[5], truth, _TRUTH)
    outline(panels[5], truth, _TRUTH, "dashed")

    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=150)
