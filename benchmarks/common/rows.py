"""Rows of figures: kept as CSV files, shown as tables."""

from __future__ import annotations

import csv
import io
import lzma
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from monai_rwcp.utils.files import written_whole

Row = dict[str, str]


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
