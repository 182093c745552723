"""What tuning compared, as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.report.figures.canvas import new_figure
from monai_rwcp.scores.choice import KINDS
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.tune.choice import CandidateResult, Choice
from monai_rwcp.tune.objectives import Objective
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.shown_text import figure_text

__all__ = ["draw_tuning"]

_CHOSEN, _OTHER = "#0072B2", "#999999"


def draw_tuning(choice: Choice, path: str | Path) -> None:
    """Draw the best of each kind, and for each source of features a map of the walks by ``k`` and ``beta``.

    A cell is the best value over the other settings; a cell without a number went out early.

    Args:
        choice: what tuning found.
        path: where the PNG goes.

    Raises:
        ImportError: when matplotlib is missing.
        OSError: when the file cannot be written.
    """
    best = {result.candidate.kind: result for result in reversed(choice.results)}
    kinds = [best[kind] for kind in (way.kind for way in KINDS) if kind in best]
    maps = _maps(choice.results)
    figure = new_figure((5.5 + 4.2 * len(maps), 4.2))
    axes = figure.subplots(1, 1 + len(maps), squeeze=False, width_ratios=[1.3, *[1.0] * len(maps)])[0]
    axes[0].barh(
        ["\n".join(textwrap.wrap(_named(result), 26)) for result in kinds],
        [result.value for result in kinds],
        xerr=[result.standard_error for result in kinds],
        color=[_CHOSEN if result.candidate == choice.chosen else _OTHER for result in kinds],
        capsize=3,
    )
    axes[0].invert_yaxis()
    axes[0].set_xlabel(f"{choice.objective} (bar: standard error of the difference)")
    axes[0].set_title("best of each kind; blue: chosen", fontsize=9)
    # With the bars in the range small differences among walks have colours that are nearly the same.
    shown = [value for cells in maps.values() for value in cells.values()] + [result.value for result in kinds]
    for place, (source, cells) in enumerate(maps.items(), start=1):
        _draw_map(axes[place], cells, (min(shown), max(shown)), choice.objective)
        axes[place].set_title(figure_text(f"walks on {source}: {choice.objective}"), fontsize=9)
    figure.suptitle("\n".join(map(figure_text, textwrap.wrap(choice.why, 40 + 40 * len(maps)))), fontsize=9)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _named(result: CandidateResult) -> str:
    return result.candidate.name + (" (harms small structures)" if result.is_harmful else "")


def _maps(results: Sequence[CandidateResult]) -> dict[str, dict[tuple[int, float], float]]:
    maps: dict[str, dict[tuple[int, float], float]] = {}
    # The best comes first, so the first of a cell is its best.
    for result in results:
        if isinstance(result.candidate, WalkedScore):
            walk = result.candidate.walk
            maps.setdefault(result.candidate.source, {}).setdefault((walk.k, walk.beta), result.value)
    return dict(sorted(maps.items()))


def _draw_map(
    axes: Any, cells: Mapping[tuple[int, float], float], limits: tuple[float, float], objective: Objective
) -> None:
    rows, columns = (sorted({key[i] for key in cells}) for i in (0, 1))
    values = np.array([[cells.get((int(k), beta), np.nan) for beta in columns] for k in rows])
    colors = "viridis" if objective == "dice" else "viridis_r"
    axes.imshow(values, cmap=colors, aspect="auto", vmin=limits[0], vmax=limits[1])
    for i, j in np.argwhere(~np.isnan(values)):
        box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none"}
        axes.text(j, i, f"{values[i, j]:.3g}", ha="center", va="center", bbox=box)
    axes.set_xticks(range(len(columns)), [f"{beta:g}" for beta in columns])
    axes.set_yticks(range(len(rows)), [f"{k:g}" for k in rows])
    axes.set_xlabel("beta")
    axes.set_ylabel("k")
