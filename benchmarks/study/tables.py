"""Tables of the study, from its stored rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import NormalDist, fmean

import numpy as np

from benchmarks.common.rows import Row, known, markdown, number
from benchmarks.study.figures import PLAIN, both_known, by_method_and_split, of_what_is_claimed

__all__ = ["coverage_lines", "distance_table", "split_table"]


def split_table(rows: Sequence[Row], baseline: str = PLAIN) -> str:
    """Means over splits and classes for each promise and method; in brackets the standard deviation over splits."""
    lines = []
    for alpha in sorted({row["alpha"] for row in rows}, key=float):
        some = [row for row in rows if row["alpha"] == alpha]
        level = fmean(known(float(row["working_level"]) for row in some))
        columns = [
            by_method_and_split(some, partial(number, name)) for name in ("observed", "stretch", "dice", "false_alarms")
        ]
        for method in columns[0]:
            cells = [_mean_and_deviation(column.get(method, [])) for column in columns]
            cells[1] += _change(columns[1][method], columns[1][baseline])
            cells.insert(1, _highest_of_a_class([row for row in some if row["method"] == method]))
            lines.append([alpha, f"{level:.3f}", method, *cells])
    head = ("promised FNR", "working level", "method", "observed FNR", "its highest of a class", "stretch, change")
    return markdown((*head, "Dice", "false alarms"), lines)


def _highest_of_a_class(rows: Iterable[Row]) -> str:
    """The promise is made class by class: the mean rate of the class that misses most."""
    of_class: dict[str, list[float]] = {}
    for row in rows:
        of_class.setdefault(row["class_name"], []).append(float(row["observed"]))
    rates = {name: fmean(found) for name, values in of_class.items() if (found := known(values))}
    name = max(rates, key=rates.__getitem__, default="")
    return f"{rates[name]:.3f}, {name}" if name else "-"


def distance_table(rows: Sequence[Row], unit: str) -> str:
    """Empty sets, distances with and without them, components and bleeding by method."""
    columns: dict[str, Callable[[Row], float]] = {
        "empty": lambda row: float(row["size"] == "0"),
        f"ASSD ({unit})": partial(of_what_is_claimed, "average_surface_distance"),
        f"HD95 ({unit})": partial(of_what_is_claimed, "hausdorff_distance_95"),
        "ASSD with the empty": partial(number, "average_surface_distance"),
        "HD95 with the empty": partial(number, "hausdorff_distance_95"),
        "components": partial(of_what_is_claimed, "components"),
        "bleeding": partial(number, "bleeding"),
    }
    found = {name: by_method_and_split(rows, value) for name, value in columns.items()}
    lines = []
    for method in found["empty"]:
        cells = [method]
        for name, by_method in found.items():
            cells.append(_mean_and_deviation(by_method.get(method, [])))
            if name.startswith(("ASSD", "HD95")):
                cells[-1] += _change(by_method[method], by_method[PLAIN])
        lines.append(cells)
    return markdown(("method", *columns), lines)


def coverage_lines(tables: Mapping[str, Sequence[Row]], risk: float = 0.05) -> list[str]:
    """How many cells (set, promise, method, class) miss more than promised, corrected for their number."""
    cells: dict[tuple[str, str, str, str], list[float]] = {}
    for name, rows in tables.items():
        for row in rows:
            cell = (name, row["alpha"], row["method"], row["class_name"])
            cells.setdefault(cell, []).append(float(row["observed"]))
    z = NormalDist().inv_cdf(1 - risk / len(cells))
    above, beyond, unknown = 0, [], 0
    for cell, found in cells.items():
        values = known(found)
        unknown += len(values) < len(found)
        if len(values) < 2:
            continue
        mean, promised = fmean(values), float(cell[1])
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
        above += mean > promised
        if mean - z * error > promised:
            beyond.append(f"- {', '.join(cell)}: {mean:.4f}")
    return [
        f"{len(cells)} cells (set, promise, method, class): the mean observed rate is above the promise in "
        f"{above}, and by more than {z:.2f} standard errors (a risk of {risk:g} for these cells together) in "
        f"{len(beyond)}." + (f" In {unknown} some split has no test patient who shows the class." if unknown else ""),
        *beyond,
    ]


def _change(values: Sequence[float], baseline: Sequence[float]) -> str:
    """Change of the mean, over the splits in which both are known."""
    both = both_known(values, baseline)
    if not both:
        return ""
    ours, theirs = (fmean(of) for of in zip(*both, strict=True))
    return f", {ours / theirs - 1:+.0%}"


def _mean_and_deviation(values: Sequence[float]) -> str:
    found = known(values)
    if not found:
        return "-"
    cell = f"{fmean(found):.3f} ({np.std(found, ddof=1):.3f})" if len(found) > 1 else f"{fmean(found):.3f}"
    return cell if len(found) == len(values) else f"{cell} in {len(found)} of {len(values)} splits"
