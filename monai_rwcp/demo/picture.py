"""The demo's picture: one test patient, the plain set beside the tuned set."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from monai.data import MetaTensor

from monai_rwcp.demo.measuring import STRUCTURES, Measured
from monai_rwcp.demo.phantoms import CLASS_NAMES
from monai_rwcp.report.figures.canvas import new_figure
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.image_files import read_image_file

__all__ = ["draw_overview", "patient_in_the_middle"]

# Told apart by colour-blind readers, too.
_COLOURS = {1: "#E69F00", 2: "#56B4E9", 3: "#CC79A7"}


def patient_in_the_middle(measured: Measured) -> str:
    """Give the patient in the middle of the order by gain: how much smaller the tuned sets are than the plain ones.

    The gain is the mean over the structures of the logarithm of plain size over tuned size.

    Args:
        measured: the figures of the test patients.
    """
    gains = []
    for number, image in enumerate(measured["plain_set"][1]):
        sizes = [[measured[key][c][number].metrics.size for key in ("plain_set", "tuned_set")] for c in STRUCTURES]
        gains.append((fmean(math.log((plain + 1) / (tuned + 1)) for plain, tuned in sizes), str(image.unit)))
    return sorted(gains)[len(gains) // 2][1]


def draw_overview(path: Path, item: dict[str, Any], n_patients: int) -> None:
    """Draw image, truth and both sets of one patient, in the slice of all structures in which both differ most.

    Args:
        path: where the PNG goes.
        item: of the patient in the middle, with "image", "label", "plain_set" and "tuned_set".
        n_patients: among how many it is in the middle.
    """
    masks = {key: item[key].as_tensor().numpy() > 0 for key in ("plain_set", "tuned_set")}
    label: MetaTensor = item["label"]
    truth = np.stack([label.as_tensor().numpy()[0] == c for c in range(len(CLASS_NAMES))])
    differ = (masks["plain_set"] != masks["tuned_set"])[list(STRUCTURES)]
    # Slices that show all structures come first.
    n_shown = truth[list(STRUCTURES)].any(axis=(1, 2)).sum(axis=0)
    z = int(np.lexsort((differ.sum(axis=(0, 1, 2)), n_shown))[-1])
    grey = read_image_file(Path(item["image"].meta["filename_or_obj"])).values[..., z]
    width, height = (n * float(s) for n, s in zip(grey.shape, label.pixdim, strict=False))
    figure = new_figure((16, 4.0 * height / width + 1.9))
    figure.suptitle(
        f"Of {n_patients} patients the median by how much tuning shrinks the sets ({item['patient']}); "
        "the slice where the sets differ most",
        fontsize=18,
    )
    low, high = np.percentile(grey, (0.5, 99.5))
    extent = (0.0, width, 0.0, height)
    shown = {
        "image": None,
        "truth": truth,
        "plain CRC": masks["plain_set"],
        "tuned + CRC": masks["tuned_set"],
    }
    for axes, (heading, found) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        axes.imshow(grey.T, origin="lower", extent=extent, cmap="gray", vmin=low, vmax=high)
        axes.set_title(heading, fontsize=20)
        axes.set_axis_off()
        for c in STRUCTURES if found is not None else ():
            _fill(axes, found[c, ..., z], _COLOURS[c], extent)
            if found is not truth:
                _outline(axes, truth[c, ..., z], label.pixdim)
        axes.set(xlim=extent[:2], ylim=extent[2:])
    _legend(figure)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _fill(axes: Any, mask: np.ndarray, colour: str, extent: tuple[float, float, float, float]) -> None:
    from matplotlib.colors import to_rgb

    layer = np.zeros((*mask.T.shape, 4))
    layer[mask.T] = (*to_rgb(colour), 0.65)
    axes.imshow(layer, origin="lower", extent=extent, interpolation="nearest")


def _outline(axes: Any, mask: np.ndarray, sizes: Any) -> None:
    if mask.any():
        padded = np.pad(mask.astype(float), 1)
        x, y = ((np.arange(n) - 0.5) * float(s) for n, s in zip(padded.shape, sizes, strict=False))
        axes.contour(x, y, padded.T, levels=[0.5], colors=["white"], linewidths=1.8)


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Any] = [Patch(color=colour, label=CLASS_NAMES[c]) for c, colour in _COLOURS.items()]
    marks.append(Line2D([], [], color="black", linewidth=1.8, label="border of the truth (white)"))
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=18, frameon=False)
