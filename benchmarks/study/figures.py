"""Figures of the study by method and split, from its stored rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean

from benchmarks.common.rows import Row

__all__ = ["PLAIN", "both_known", "by_method_and_split", "of_what_is_claimed", "usual_candidates"]

PLAIN = "plain CRC"


def by_method_and_split(rows: Iterable[Row], value: Callable[[Row], float]) -> dict[str, list[float]]:
    """For every method and split, in one order of the splits, the mean over classes of the mean over what was measured.

    A class of which no method has a figure in a split is left out. Where only some have, as when all sets of a method
    are empty, the others' figure is nan: it would be that of the easier classes.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for row in rows:
        of_class = found.setdefault(row["method"], {}).setdefault(row["split"], {}).setdefault(row["class_name"], [])
        x = value(row)
        if not math.isnan(x):
            of_class.append(x)
    splits = dict.fromkeys(split for of_method in found.values() for split in of_method)
    shown = {
        split: {name for of_method in found.values() for name, values in of_method.get(split, {}).items() if values}
        for split in splits
    }

    def mean(of_classes: Mapping[str, list[float]], classes: set[str]) -> float:
        if not classes or any(not of_classes.get(name) for name in classes):
            return math.nan
        return fmean(fmean(of_classes[name]) for name in sorted(classes))

    return {
        method: [mean(of_method.get(split, {}), classes) for split, classes in shown.items()]
        for method, of_method in found.items()
    }


def both_known(values: Sequence[float], others: Sequence[float]) -> list[tuple[float, float]]:
    """The splits in which both have a figure."""
    return [(a, b) for a, b in zip(values, others, strict=True) if not math.isnan(a + b)]


def of_what_is_claimed(name: str, row: Row) -> float:
    """A figure of a row, or nan where the set is empty."""
    return float(row[name]) if int(row["size"]) else math.nan


def usual_candidates(rows: Iterable[Row]) -> dict[str, str]:
    """Name of the candidate that stood for each method most often."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["method"], Counter())[row["candidate"]] += 1
    return {method: counts.most_common(1)[0][0] for method, counts in found.items()}
