"""The table of the study on the first page of the evidence: some methods and figures of the rows of every set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

import click

from benchmarks.common.rows import Row, known, markdown, number
from benchmarks.study.figures import by_method_and_split, of_what_is_claimed
from benchmarks.study.sets import SETS, SURFACE_ALPHA
from benchmarks.study.store import load_results

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
        folder: where the rows are kept.
    """
    lines: list[list[str]] = []
    for name in SETS:
        results = load_results(name, folder)
        if results is None:
            continue
        if not results.sets:
            raise ValueError(f"Expected distances of '{name}' in '{folder}'. Run the study with `--surface-splits`.")
        at = [row for row in results.rows if float(row["alpha"]) == SURFACE_ALPHA]
        stretch, dice = (_means(at, partial(number, figure)) for figure in ("stretch", "dice"))
        empty = _means(results.sets, lambda row: float(row["size"] == "0"))
        distances = [
            [_means(results.sets, partial(of, figure)) for of in (of_what_is_claimed, number)]
            for figure in ("average_surface_distance", "hausdorff_distance_95")
        ]
        label = _NETWORKS[name]
        for method, words in _METHODS.items():
            if method not in stretch:
                continue
            cells = [f"{stretch[method]:.2f}", f"{dice[method]:.3f}"]
            for claimed, every in distances:
                cells.append(f"{claimed[method]:.1f} ({every[method]:.1f}) {results.facts.unit_of_length}")
            lines.append([label, words, *cells, f"{empty[method]:.3f}"])
            label = ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    return markdown(_HEAD, ([cell.ljust(w) for cell, w in zip(line, widths, strict=True)] for line in lines))


def _means(rows: Sequence[Row], value: Callable[[Row], float]) -> dict[str, float]:
    return {method: fmean(known(values)) for method, values in by_method_and_split(rows, value).items()}


@click.command(context_settings={"show_default": True})
@click.option(
    "--results", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("benchmarks/results/study")
)
def main(results: Path) -> None:
    """Print the table."""
    click.echo(summary_table(results))


if __name__ == "__main__":
    main()
