"""The rows of a chain's table, and their means over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from monai_rwcp import Calibration
from monai_rwcp.report import MeasuredSet, Row, summarise


def rows_by_class(
    measured: Sequence[MeasuredSet], methods: Mapping[str, str], calibrations: Mapping[str, Calibration]
) -> list[Row]:
    """Class by class a row for each method.

    Args:
        measured: sets of all methods.
        methods: names by the key of the score.
        calibrations: likewise.
    """
    classes = sorted({one.class_index for one in measured})
    return [summarise(measured, method, c, calibrations[key]) for c in classes for key, method in methods.items()]


def over_classes(rows: Sequence[Row]) -> str:
    """Dice, distances and stretch of each method, averaged over the classes, and their change against plain CRC."""
    fields = ("dice", "average_surface_distance", "hausdorff_distance_95", "stretch")
    means = {
        method: [fmean(getattr(row, f) for row in rows if row.method == method) for f in fields]
        for method in dict.fromkeys(row.method for row in rows)
    }
    plain = means["plain CRC"]
    lines = ["mean over classes: Dice, ASSD, HD95, stretch (change against plain CRC)"]
    for method, values in means.items():
        parts = [f"{v:.3f} ({100 * (v / p - 1):+.0f} %)" for v, p in zip(values, plain, strict=True)]
        lines.append(f"  {method:44s} " + "   ".join(parts))
    return "\n".join(lines)
