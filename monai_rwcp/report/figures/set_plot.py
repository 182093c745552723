"""A plot of one prediction set on matplotlib axes, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_to_tensor

from monai_rwcp.metrics.checks import check_mask, check_spacing
from monai_rwcp.report.figures.canvas import INNER_COLOUR, MISSED_COLOUR, SET_COLOUR, TRUTH_COLOUR, new_figure
from monai_rwcp.utils.same_grid import check_same_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_prediction_set"]


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
        ValueError: when the arrays are not of one 2D shape, or lie on other grids, a mask holds other values, or the
            spacing does not fit.

    Example:
        >>> import torch
        >>> found, truth = torch.zeros(2, 12, 10)
        >>> found[3:9, 2:7], truth[4:10, 2:7] = 1, 1
        >>> axes = plot_prediction_set(torch.rand(12, 10), found, truth, spacing=(1.5, 2.0))
        >>> [float(mm) for mm in (*axes.get_xlim(), *axes.get_ylim())]
        [0.0, 18.0, 0.0, 20.0]
    """
    given = {"image": image, "found": found, "truth": truth, "inner": inner}
    check_same_grid({name: (name, array[None]) for name, array in given.items() if array is not None}, set())
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
        ("inner", INNER_COLOUR, "dotted", "inner set"),
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


def _stairs(mask: np.ndarray, sizes: Sequence[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights whose contour runs along the edges of the pixels, with a margin that closes it at the image's edge."""
    padded = np.pad(mask.astype(float), 1)
    # Each pixel twice along each axis, at its two edges: nothing lies between it and its neighbour's.
    x, y = (
        ((np.arange(-1, n - 1)[:, None] + [0.001, 0.999]) * size).ravel()
        for n, size in zip(padded.shape, sizes, strict=True)
    )
    return x, y, padded.repeat(2, axis=0).repeat(2, axis=1).T
