"""The targets of the study, and by how much each is met or missed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from statistics import fmean

import numpy as np

from benchmarks.common.rows import Row, known, markdown, number
from benchmarks.study.figures import PLAIN, both_known, by_method_and_split, of_what_is_claimed

__all__ = ["choice_table", "choice_target", "target_table"]

_BASELINES = ("blur, tuned", "dilation, tuned", "bilateral, tuned", "blur or bilateral with keep_peak, tuned")
_DISTANCES = {"average_surface_distance": "ASSD", "hausdorff_distance_95": "HD95"}


def target_table(tables: Mapping[str, Sequence[Row]], walk: str, *, with_empty: bool) -> str:
    """The targets, by how much each is met or missed.

    Args:
        tables: rows of sets by name of the study's set.
        walk: the method that is compared.
        with_empty: whether an empty set counts in the distances, as far off as the image's diagonal.
    """
    lines, distance = [], number if with_empty else of_what_is_claimed
    for name, metric, against, kind, wanted in _TARGETS:
        if name not in tables:
            continue
        values = by_method_and_split(tables[name], _dice if metric == "dice" else partial(distance, metric))
        better = max if metric == "dice" else min
        other = better((o for o in against if o in values), key=lambda o: fmean(known(values[o])))
        both = both_known(values[walk], values[other])
        ours, theirs = (fmean(of) for of in zip(*both, strict=True))
        change, words = (ours - theirs, ".3f") if kind == "difference" else (ours / theirs - 1, ".1%")
        met = change >= wanted if metric == "dice" else change <= wanted
        each = [a - b if kind == "difference" else a / b - 1 for a, b in both]
        lines.append(
            [
                name,
                _DISTANCES.get(metric, "Dice"),
                other,
                f"{theirs:.3f}",
                f"{ours:.3f}",
                f"{change:+{words}}",
                f"{min(each):+{words}} to {max(each):+{words}}",
                f"{wanted:+{words}}",
                "met" if met else "missed",
            ]
        )
    head = ("set", "figure", "against", "its value", "walk", "change", "single splits", "target", "outcome")
    return markdown(head, lines)


# Set, figure, against whom (the best of them), and the change that is wanted.
_TARGETS = (
    ("acdc-slices-8", "hausdorff_distance_95", (PLAIN,), "share", -0.45),
    ("acdc-slices-8", "average_surface_distance", (PLAIN,), "share", -0.40),
    ("acdc-slices-8", "dice", (PLAIN,), "share", 0.15),
    ("acdc-slices-8", "average_surface_distance", _BASELINES, "share", -0.15),
    ("acdc-slices-8", "hausdorff_distance_95", _BASELINES, "share", -0.10),
    ("acdc-slices-8", "dice", _BASELINES, "difference", 0.0),
    ("acdc-slices-3", "hausdorff_distance_95", (PLAIN,), "share", -0.25),
    ("acdc-slices-3", "average_surface_distance", (PLAIN,), "share", -0.25),
    ("acdc-slices-3", "hausdorff_distance_95", _BASELINES, "share", -0.25),
    ("acdc-slices-3", "average_surface_distance", _BASELINES, "share", -0.25),
    ("acdc-slices-30", "hausdorff_distance_95", (PLAIN,), "share", -0.45),
    ("acdc-slices-30", "hausdorff_distance_95", _BASELINES, "share", -0.20),
    ("acdc-slices-30", "dice", (PLAIN,), "difference", -0.01),
    ("acdc-slices-30", "dice", _BASELINES, "difference", -0.01),
)


def choice_table(rows: Sequence[Row]) -> str:
    """What tune chooses against the best baseline, paired by split: worse when it is so in more than 95 % of them.

    Args:
        rows: rows of splits.
    """
    head = ("promised FNR", "figure", "best baseline", "difference", "5 to 95 % of splits", "worse in", "outcome")
    return markdown(head, _choices(rows))


def choice_target(rows: Sequence[Row]) -> str:
    """Whether what tune chooses is nowhere worse than the best baseline, in words.

    Args:
        rows: rows of splits.
    """
    worse = [f"{words} at {alpha}" for alpha, words, *_, outcome in _choices(rows) if outcome == "worse"]
    return f"missed ({', '.join(worse)})" if worse else "met"


def _choices(rows: Sequence[Row]) -> Iterator[list[str]]:
    for alpha in sorted({row["alpha"] for row in rows}, key=float):
        for name, words, sign in (("stretch", "stretch", 1), ("dice", "Dice", -1)):
            some = [row for row in rows if row["alpha"] == alpha]
            values = by_method_and_split(some, partial(number, name))
            best = min((o for o in _BASELINES if o in values), key=lambda o: sign * fmean(known(values[o])))
            apart = np.array([a - b for a, b in both_known(values["what tune chooses"], values[best])])
            low, high = np.quantile(apart, (0.05, 0.95))
            worse = (sign * apart > 0).mean()
            outcome = "worse" if worse > 0.95 else "better" if (sign * apart < 0).mean() > 0.95 else "alike"
            yield [alpha, words, best, f"{apart.mean():+.3f}", f"{low:+.3f} to {high:+.3f}", f"{worse:.0%}", outcome]


def _dice(row: Row) -> float:
    true, missed, size = (int(row[name]) for name in ("true", "missed", "size"))
    return 2 * (true - missed) / (true + size)
