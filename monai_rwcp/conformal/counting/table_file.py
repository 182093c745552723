"""The loss table's JSON form: counts only, so that hospitals can share tables and never images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.conformal.counting.levels import LEVEL_GRID, threshold_levels
from monai_rwcp.conformal.counting.loss_table import Histogram, ImageCounts, LossTable
from monai_rwcp.conformal.counting.losses.choice import loss_from_record
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.utils.arguments import check_options, check_weight
from monai_rwcp.utils.json_documents import check_document, digest

__all__ = ["table_from_document", "table_to_document"]

_FORMAT = "monai_rwcp.loss_table"
_VERSION = 1
_PLAIN = ("n_channels", "label_mode", "outside", "unit_name", "level_grid", "masked")


def table_to_document(table: LossTable) -> dict[str, Any]:
    """Turn a table into its JSON document, with the digest that shows later changes."""
    document: dict[str, Any] = {"format": _FORMAT, "version": _VERSION}
    document |= {name: getattr(table, name) for name in _PLAIN}
    document["classes"] = list(table.classes)
    document["loss"] = table.loss.record()
    document["provenance"] = table.provenance.to_json()
    document["images"] = {
        name: {
            "unit": image.unit,
            "group": image.group,
            "shift_weight": image.shift_weight,
            "true": _histograms_to_document(image.true),
            "false": _histograms_to_document(image.false),
        }
        for name, image in sorted(table.images.items())
    }
    document["digest"] = digest(document)
    return document


def table_from_document(document: Any, path: str | Path) -> LossTable:
    """Turn a JSON document into a table, or say why it is none."""
    check_document(document, path, what="loss table", kind=_FORMAT, version=_VERSION)
    try:
        if document["level_grid"] != LEVEL_GRID:
            raise ValueError(f"it counts on the grid {document['level_grid']!r}, but this release on {LEVEL_GRID!r}.")
        check_options(label_mode=document["label_mode"], outside=document["outside"])
        classes = tuple(int(c) for c in document["classes"])
        loss = loss_from_record(document["loss"])
        excess = classes if loss.of_excess else ()
        return LossTable(
            classes=classes,
            images={
                name: ImageCounts(
                    str(entry["unit"]),
                    _histograms(name, entry["true"], classes),
                    _histograms(name, entry["false"], excess),
                    entry["group"],
                    None if entry["shift_weight"] is None else check_weight(entry["shift_weight"]),
                )
                for name, entry in document["images"].items()
            },
            loss=loss,
            provenance=ScoreRecord.from_json(document["provenance"]),
            **{name: document[name] for name in _PLAIN},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The loss table '{path}' lacks a field or has one of the wrong kind: {error}.") from error
    except ValueError as error:
        raise ValueError(f"The loss table '{path}' contradicts itself: {error}") from error


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
