"""Tables of the study, from its stored rows."""

from __future__ import annotations

import csv
import io
import lzma
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import NormalDist, fmean

import numpy as np

from monai_rwcp.utils.files import written_whole

__all__ = [
    "PLAIN",
    "Row",
    "both_known",
    "by_method_and_split",
    "coverage_lines",
    "distance_table",
    "failure_tables",
    "known",
    "markdown",
    "number",
    "of_what_is_claimed",
    "read_rows",
    "save_rows",
    "split_table",
    "usual_candidates",
]

Row = dict[str, str]

PLAIN = "plain CRC"


def read_rows(path: Path) -> list[Row]:
    """Rows of a CSV file, which may be compressed (``.xz``)."""
    with lzma.open(path, "rt", newline="") if path.suffix == ".xz" else path.open(newline="") as file:
        return list(csv.DictReader(file))


def save_rows(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write rows as a CSV file, compressed when its name ends in ``.xz``."""
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    data = text.getvalue().encode()
    with written_whole(path) as temporary:
        temporary.write_bytes(lzma.compress(data, preset=9) if path.suffix == ".xz" else data)


def known(values: Iterable[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if not math.isnan(value)]


def number(name: str, row: Row) -> float:
    """A figure of a row."""
    return float(row[name])


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(rows + ["| " + " | ".join(line) + " |" for line in lines]) + "\n"


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


def usual_candidates(rows: Iterable[Row]) -> dict[str, str]:
    """Name of the candidate that stood for each method most often."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row["method"], Counter())[row["candidate"]] += 1
    return {method: counts.most_common(1)[0][0] for method, counts in found.items()}


def _highest_of_a_class(rows: Iterable[Row]) -> str:
    """The promise is made class by class: the mean rate of the class that misses most."""
    of_class: dict[str, list[float]] = {}
    for row in rows:
        of_class.setdefault(row["class_name"], []).append(float(row["observed"]))
    rates = {name: fmean(found) for name, values in of_class.items() if (found := known(values))}
    name = max(rates, key=rates.__getitem__, default="")
    return f"{rates[name]:.3f}, {name}" if name else "-"


def of_what_is_claimed(name: str, row: Row) -> float:
    """A figure of a row, or nan where the set is empty."""
    return float(row[name]) if int(row["size"]) else math.nan


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


def both_known(values: Sequence[float], others: Sequence[float]) -> list[tuple[float, float]]:
    """The splits in which both have a figure."""
    return [(a, b) for a, b in zip(values, others, strict=True) if not math.isnan(a + b)]


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
