"""Cost against size, with the floor, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.common.timing import Row


def save_picture(rows: Sequence[Row], path: Path) -> None:
    """Draw one panel for each case of the graph and of the walk.

    Args:
        rows: all measured rows.
        path: the PNG.
    """
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys((row.part, row.case) for row in rows if row.part in ("graph", "walk")))
    if not cases:
        return
    columns = min(3, len(cases))
    figure = Figure(figsize=(5.2 * columns, 4.6 * -(-len(cases) // columns)), layout="constrained")
    methods = list(dict.fromkeys(row.method for row in rows if row.part in ("graph", "walk")))
    markers = dict(zip(methods, "osv^D<>pP*Xhd", strict=False))
    for place, (part, case) in enumerate(cases, start=1):
        axes = figure.add_subplot(-(-len(cases) // columns), columns, place)
        of_case = [row for row in rows if (row.part, row.case) == (part, case)]
        for method in dict.fromkeys(row.method for row in of_case):
            points = [(row.size, row.seconds) for row in of_case if row.method == method]
            ours = method.startswith("monai_rwcp")
            axes.loglog(
                *zip(*points, strict=True),
                marker=markers.get(method, "."),
                linewidth=2.2 if ours else 1.0,
                linestyle="-" if method == "monai_rwcp" else "--" if ours else "-.",
                label=method,
            )
        floor = sorted({(row.size, row.floor) for row in of_case if row.floor is not None})
        axes.loglog(*zip(*floor, strict=True), color="black", linestyle=":", linewidth=1.6, label="floor")
        axes.set_title(f"{part}: {case}")
        axes.set_xlabel("nodes N")
        axes.set_ylabel("seconds")
        axes.grid(which="both", alpha=0.25)
        axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
