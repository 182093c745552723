"""The README's table of the study: some methods and figures of every part of the page of results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.study import SETS, SURFACE_ALPHA
from benchmarks.study_tables import markdown

__all__ = ["summary_table"]

_NETWORKS = {
    **{f"acdc-slices-{n}": f"ACDC slices, trained on {n} patients" for n in (3, 8, 30)},
    **{f"acdc-volumes-{n}": f"ACDC volumes, trained on {n} patients" for n in (3, 8, 30)},
    "hippocampus-weak": "hippocampus in 3D, trained on 2 subjects",
    "hippocampus-middling": "hippocampus in 3D, trained on 4 subjects",
}
_METHODS = {
    "plain CRC": "plain CRC",
    "blur, tuned": "blur",
    "bilateral, tuned": "bilateral filter",
    "blur or bilateral with keep_peak, tuned": "filter, peaks kept",
    "walk on LiteMedSAM, tuned": "walk (LiteMedSAM)",
    "walk on network's own, tuned": "walk (its own layers)",
    "what tune chooses": "what `tune` chooses",
    "what tune chooses by Dice": "what it chooses by Dice",
}
_HEAD = ("network", "method", "stretch", "Dice", "ASSD", "HD95", "empty sets")


def summary_table(folder: Path) -> str:
    """Stretch, Dice, distances and empty sets at the promise that the page draws.

    Args:
        folder: where the parts of the page are.
    """
    lines: list[list[str]] = []
    for name in SETS:
        path = folder / f"{name}.md"
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        of_splits = {
            row["method"]: row
            for row in _rows(text)
            if "stretch, change" in row and row["promised FNR"] == str(SURFACE_ALPHA)
        }
        of_sets = {row["method"]: row for row in _rows(text) if "empty" in row}
        unit = re.search(r"\| ASSD \((\w+)\) \|", text)
        if unit is None:
            raise ValueError(f"Expected distances in '{path}'. Run the study with `--surface-splits`.")
        label = _NETWORKS[name]
        for method, words in _METHODS.items():
            if method not in of_splits:
                continue
            cells = [f"{_first(of_splits[method]['stretch, change']):.2f}", f"{_first(of_splits[method]['Dice']):.3f}"]
            for figure in ("ASSD", "HD95"):
                claimed, every = (of_sets[method][key] for key in (f"{figure} ({unit[1]})", f"{figure} with the empty"))
                cells.append(f"{_first(claimed):.1f} ({_first(every):.1f}) {unit[1]}")
            lines.append([label, words, *cells, f"{_first(of_sets[method]['empty']):.3f}"])
            label = ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    return markdown(_HEAD, ([cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in lines))


def _rows(text: str) -> Iterator[dict[str, str]]:
    """Lines of all tables of a page, by the names of their columns."""
    head: list[str] = []
    for line in text.splitlines():
        if not line.startswith("| "):
            head = head if line.startswith("|---") else []
        elif not head:
            head = _cells(line)
        else:
            yield dict(zip(head, _cells(line), strict=True))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|\n").split(" | ")]


def _first(cell: str) -> float:
    return float(cell.split()[0])


@click.command(context_settings={"show_default": True})
@click.option(
    "--results", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("benchmarks/results/study")
)
def main(results: Path) -> None:
    """Print the table."""
    click.echo(summary_table(results))


if __name__ == "__main__":
    main()
