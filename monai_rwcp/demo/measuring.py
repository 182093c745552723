"""What the demo measures of every test patient: the network's own mask, the plain set and the tuned set."""

from __future__ import annotations

from typing import Any

from monai_rwcp.demo.phantoms import CLASS_NAMES
from monai_rwcp.metrics.prediction_set import prediction_set_metrics
from monai_rwcp.metrics.summary import ImageFigures

__all__ = ["METHODS", "STRUCTURES", "Measured", "measure", "no_figures"]

METHODS = {"mask": "network's mask", "plain_set": "plain CRC", "tuned_set": "tuned + CRC"}
"""Keys of the compared masks in an item, and their names in the table."""

STRUCTURES = range(1, len(CLASS_NAMES))
"""The classes without the background."""

Measured = dict[str, dict[int, list[ImageFigures]]]
"""By key of the mask and by class the figures of the test patients, in one order."""


def no_figures() -> Measured:
    """Give what :py:func:`measure` adds to, still empty."""
    return {key: {c: [] for c in STRUCTURES} for key in METHODS}


def measure(item: dict[str, Any], measured: Measured) -> None:
    """Add the figures of one patient.

    Args:
        item: with the masks, the "label" on their grid, and the name of the "patient".
        measured: gets the figures.
    """
    label = item["label"].as_tensor()[0]
    spacing = [float(s) for s in item["label"].pixdim]
    for key, of_classes in measured.items():
        masks = item[key].as_tensor()
        for c, figures in of_classes.items():
            found = prediction_set_metrics(masks[c], label == c, spacing=spacing)
            figures.append(ImageFigures(found, item["patient"]))
