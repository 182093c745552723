"""Where the sets of the study fail: by place, size and class, and in whom."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

import numpy as np

from benchmarks.common.rows import Row, markdown

__all__ = ["failure_tables"]


def failure_tables(rows: Sequence[Row], methods: Sequence[str]) -> str:
    """False negative rates by position, by size of the truth and by class, and of the worst patients.

    Args:
        rows: rows of sets.
        methods: which are shown.
    """
    strata: dict[str, Callable[[Row], bool]] = {}
    for name in sorted({row["class_name"] for row in rows}):
        sizes = np.array([int(row["true"]) for row in rows if row["class_name"] == name])
        low, high = (int(q) for q in np.quantile(sizes, (1 / 3, 2 / 3)))
        strata[name] = partial(_is_of_size, name, 0, math.inf)
        strata[f"{name}, truths of up to {low} voxels (a third)"] = partial(_is_of_size, name, 0, low)
        strata[f"{name}, of {high} and more (a third)"] = partial(_is_of_size, name, high, math.inf)
    if not math.isnan(float(rows[0]["position"])):
        places = [float(row["position"]) for row in rows]
        words = f"of those looked at, from {min(places):.2f} to {max(places):.2f} of the depth"
        strata[f"first half of the slices {words}"] = lambda row: float(row["position"]) < 0.5
        strata[f"second half of the slices {words}"] = lambda row: float(row["position"]) >= 0.5
    rate = {
        method: {
            stratum: fmean(
                int(row["missed"]) / int(row["true"]) for row in rows if row["method"] == method and inside(row)
            )
            for stratum, inside in strata.items()
        }
        for method in methods
    }
    lines = [[stratum, *(f"{rate[method][stratum]:.3f}" for method in methods)] for stratum in strata]
    patients = {method: _by_patient([row for row in rows if row["method"] == method]) for method in methods}
    worst = [
        [place, *(_nth(patients[method], i) for method in methods)]
        for i, place in enumerate(f"{n}" for n in range(1, 11))
    ]
    return markdown(("mean FNR of images", *methods), lines) + "\n" + markdown(("worst patients", *methods), worst)


def _by_patient(rows: Sequence[Row]) -> list[tuple[float, str]]:
    counts: dict[tuple[str, str, str], list[int]] = {}
    for row in rows:
        total = counts.setdefault((row["unit"], row["split"], row["class_name"]), [0, 0])
        total[0] += int(row["missed"])
        total[1] += int(row["true"])
    rates: dict[str, list[float]] = {}
    for (unit, _, _), (missed, true) in counts.items():
        rates.setdefault(unit, []).append(missed / true)
    return sorted(((fmean(values), unit) for unit, values in rates.items()), reverse=True)


def _nth(patients: Sequence[tuple[float, str]], i: int) -> str:
    return f"{patients[i][1]}: {patients[i][0]:.2f}" if i < len(patients) else "-"


def _is_of_size(class_name: str, low: float, high: float, row: Row) -> bool:
    return row["class_name"] == class_name and low <= int(row["true"]) <= high
