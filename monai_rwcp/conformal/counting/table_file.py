"""The images of a loss table in JSON: counts only, so that hospitals can share tables and never images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from monai_rwcp.conformal.counting.image_counts import Histogram, ImageCounts, TrueVoxels
from monai_rwcp.conformal.counting.levels import threshold_levels
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.utils.arguments import check_weight
from monai_rwcp.utils.json_documents import DocumentKind

__all__ = ["TABLE_DOCUMENT", "images_from_document", "images_to_document"]


class _Histogram(TypedDict):
    levels: list[int]
    counts: list[int]


class _TrueVoxels(TypedDict):
    all: int
    at_zero: int


class _Image(TypedDict):
    unit: str
    group: str | None
    shift_weight: float | None
    true: dict[str, _Histogram]
    false: dict[str, _Histogram]
    true_voxels: dict[str, _TrueVoxels]


class _Content(TypedDict):
    n_channels: int
    classes: list[int]
    counting: dict[str, Any]
    loss: dict[str, Any]
    unit_name: str
    level_grid: str
    provenance: dict[str, Any]
    images: dict[str, _Image]


TABLE_DOCUMENT = DocumentKind(
    "loss table",
    "monai_rwcp.loss_table",
    version=2,
    first_step="Save one with LossTable.save",
    anew="ConformalCalibrationHandler, whose `table` it is, or case_loss_table",
    content=_Content,
    earlier={1: "0.1"},
)


def images_to_document(images: Mapping[str, ImageCounts]) -> dict[str, Any]:
    """Turn counts of images into JSON, in the order of their ids."""
    return {
        name: {
            "unit": image.unit,
            "group": image.group,
            "shift_weight": image.shift_weight,
            "true": _histograms_to_document(image.true),
            "false": _histograms_to_document(image.false),
            "true_voxels": {str(c): voxels._asdict() for c, voxels in image.true_voxels.items()},
        }
        for name, image in sorted(images.items())
    }


def images_from_document(
    document: Mapping[str, Any], classes: tuple[int, ...], loss: SetLoss
) -> dict[str, ImageCounts]:
    """Turn JSON into counts of images.

    Raises:
        KeyError: when a class or a field is missing.
        ValueError: when counts do not fit.
    """
    return {
        name: ImageCounts(
            str(entry["unit"]),
            _histograms(name, entry["true"], classes),
            _histograms(name, entry["false"], classes if loss.of_excess else ()),
            entry["group"],
            None if entry["shift_weight"] is None else check_weight(entry["shift_weight"]),
            _true_voxels(name, entry["true_voxels"], classes),
        )
        for name, entry in document.items()
    }


def _histograms_to_document(histograms: Mapping[int, Histogram]) -> dict[str, Any]:
    return {str(c): {"levels": h.levels.tolist(), "counts": h.counts.tolist()} for c, h in histograms.items()}


def _histograms(image: str, entry: dict[str, Any], classes: tuple[int, ...]) -> dict[int, Histogram]:
    histograms = {}
    for c in classes:
        levels, counts = (np.array(entry[str(c)][name], dtype=np.int64) for name in ("levels", "counts"))
        known = np.all(levels >= 0) and np.all(levels < len(threshold_levels()))
        if levels.shape != counts.shape or not known or not np.all(np.diff(levels) > 0) or not np.all(counts > 0):
            raise ValueError(f"image {image!r}, class {c}: levels and counts do not fit.")
        histograms[c] = Histogram(levels, counts)
    return histograms


def _true_voxels(image: str, entry: dict[str, Any], classes: tuple[int, ...]) -> dict[int, TrueVoxels]:
    voxels = {}
    for c in classes:
        of_class = TrueVoxels(**entry[str(c)])
        if not 0 <= of_class.at_zero <= of_class.all:
            raise ValueError(f"image {image!r}, class {c}: {of_class.at_zero!r} of {of_class.all!r} true voxels at 0.")
        voxels[c] = of_class
    return voxels
