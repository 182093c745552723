"""What each setting of the walk does: stretch on all unseen patients of a set, looked at and not tuned."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click

from benchmarks.common.rows import Row, markdown, read_rows, save_rows
from benchmarks.study.measure import by_patient, load_curves, measure
from benchmarks.study.sets import SETS, study_set
from monai_rwcp.scores import PlainScore, WalkedScore
from monai_rwcp.tune import efficiency
from monai_rwcp.walk import paper, recommended

__all__ = ["AblationRow", "ablation_candidates", "ablation_section"]

_K, _STEPS, _BETA = (5, 20, 50), (1, 10, 20), (10.0, 20.0, 50.0, 100.0)
_ALONE: dict[str, tuple[Any, ...]] = {
    "restart": (0.0, 0.1, 0.2, 0.5),
    "center": (False, True),
    "spatial_weight": (0.0, 1.0, 3.0, 6.0),
    "keep_peak": (False, True),
}
_BASES = {"paper()": paper, "recommended()": recommended}


@dataclass(frozen=True)
class AblationRow:
    """One walk, or the plain score.

    Args:
        base: whose settings the others are, ``"paper()"`` or ``"recommended()"``; "" for the plain score.
        changed: "k, n_steps, beta", or the one setting that differs.
        value: of what was changed.
        stretch: mean over classes and patients at the threshold at which these patients lose 0.1.
        dice: likewise, at the same promise.
    """

    base: str
    changed: str
    value: str
    stretch: float
    dice: float


def ablation_candidates(source: str) -> dict[tuple[str, str, str], WalkedScore | PlainScore]:
    """What is compared, by base, what is changed, and its value.

    Args:
        source: name of the features.
    """
    found: dict[tuple[str, str, str], WalkedScore | PlainScore] = {("", "", ""): PlainScore()}
    for base, settings in _BASES.items():
        start = replace(settings(), grid=4)
        for k, n_steps, beta in itertools.product(_K, _STEPS, _BETA):
            walk = replace(start, k=k, n_steps=n_steps, beta=beta)
            found[base, "k, n_steps, beta", f"{k}, {n_steps}, {beta:g}"] = WalkedScore(walk, source)
        for name, values in _ALONE.items():
            for value in values:
                found[base, name, str(value)] = WalkedScore(replace(start, **{name: value}), source)
    return found


def ablation_section(rows: Sequence[Row]) -> str:
    """The rows as markdown: stretch and Dice by k, n_steps and beta, and by each other setting alone."""
    of = {(row["base"], row["changed"], row["value"]): (float(row["stretch"]), float(row["dice"])) for row in rows}
    plain = of["", "", ""]
    lines = [f"Stretch / Dice at alpha = 0.1 on all unseen patients; plain: {plain[0]:.3f} / {plain[1]:.3f}.", ""]

    def cell(base: str, changed: str, value: str) -> str:
        return "{:.3f} / {:.3f}".format(*of[base, changed, value])

    for base in _BASES:
        cells = [
            [str(k), str(n), *(cell(base, "k, n_steps, beta", f"{k}, {n}, {beta:g}") for beta in _BETA)]
            for k, n in itertools.product(_K, _STEPS)
        ]
        lines += [f"`{base}` on the grid of a quarter of the map, with other k, n_steps and beta:", ""]
        lines.append(markdown(("k", "n_steps", *(f"beta = {beta:g}" for beta in _BETA)), cells))
    alone = [
        [f"{name}={value}", *(cell(base, name, str(value)) for base in _BASES)]
        for name, values in _ALONE.items()
        for value in values
    ]
    lines += ["One other setting changed:", "", markdown(("setting", *(f"`{base}`" for base in _BASES)), alone)]
    return "\n".join(lines)


@click.command(context_settings={"show_default": True})
@click.option("--set", "name", type=click.Choice(SETS), default="acdc-slices-8")
@click.option("--shared", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/study"))
@click.option("--slices", default=2, help="As in the study.")
def main(name: str, shared: Path, out: Path, slices: int) -> None:
    """Measure the ablation of a set (once; a killed run goes on) and print its tables."""
    study = study_set(name, shared, out, slices)
    named = ablation_candidates(study.sources[0])
    candidates = list(dict.fromkeys(named.values()))
    folder = out / "curves" / f"{name}-ablation"
    measure(study, candidates, folder)
    curves = load_curves(study, candidates, folder)
    pooled = by_patient(study, curves)
    rows = [
        AblationRow(*key, *(float(efficiency(pooled[candidate], 0.1, worth)[0][0]) for worth in ("stretch", "dice")))
        for key, candidate in named.items()
    ]
    path = out / f"{name}-ablation.csv"
    save_rows([asdict(row) for row in rows], path)
    click.echo(ablation_section(read_rows(path)))


if __name__ == "__main__":
    main()
