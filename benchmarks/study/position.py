"""Where in the heart sets miss: all slices of the end-diastolic volumes, from base to apex."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import click
import numpy as np
from tqdm import tqdm

from benchmarks.common.rows import Row, known, markdown, read_rows, save_rows
from benchmarks.common.splitter import Splitter
from benchmarks.study.cases import StudySet
from benchmarks.study.figures import PLAIN, usual_candidates
from benchmarks.study.measure import StudyCandidate, by_patient, load_curves, measure
from benchmarks.study.sets import SETS, SURFACE_ALPHA, candidates_of, study_set
from benchmarks.study.splits import calibrated_steps
from monai_rwcp.tune import SetCurves

__all__ = ["PARTS", "PositionRow", "parts_of_heart", "position_rows", "position_table"]

PARTS = ("base", "middle", "apex")

_ALL = "all slices"


@dataclass(frozen=True)
class PositionRow:
    """What one method missed in one part of the hearts of the test patients of one split.

    Args:
        split: number of the split.
        method: the family, such as "blur, tuned".
        candidate: what stands for it in all splits.
        class_name: the class.
        part: "base", "middle", "apex" or "all slices".
        observed: mean over patients of missed over true voxels of the part.
        stretch: mean over patients of claimed over true voxels of the part.
    """

    split: int
    method: str
    candidate: str
    class_name: str
    part: str
    observed: float
    stretch: float


def parts_of_heart(true: np.ndarray) -> np.ndarray:
    """Divide the slices of one volume that show a class into thirds, from base to apex.

    The base is the end whose outermost slice with any truth shows more of it.

    Args:
        true: true voxels of the slices in their order, ``[slices, classes]``.

    Returns:
        0 (base), 1 or 2 (apex) for each slice and class, -1 where the slice lacks it.
    """
    shown = np.flatnonzero(true.sum(axis=1))
    parts = np.full(true.shape, -1)
    if not len(shown):
        return parts
    order = np.arange(len(true))
    if true[shown[0]].sum() < true[shown[-1]].sum():
        order = order[::-1]
    for c in range(true.shape[1]):
        of_class = order[true[order, c] > 0]
        parts[of_class, c] = np.floor(3 * (np.arange(len(of_class)) + 0.5) / max(len(of_class), 1))
    return parts


def position_rows(
    study: StudySet, curves: Mapping[str, tuple[StudyCandidate, SetCurves]], splitter: Splitter, numbers: Iterable[int]
) -> Iterator[PositionRow]:
    """Calibrate each method on some splits, and look at the parts of the test patients' hearts.

    Args:
        study: slices of one volume of each patient, in their order.
        curves: by method, what stands for it and its counts of every slice.
        splitter: how patients are split; those who would tune are not looked at.
        numbers: of the splits.
    """
    slices = {unit: np.array([i for i, info in enumerate(study.infos) if info.unit == unit]) for unit in study.units}
    pooled = by_patient(study, {method: of for method, (_, of) in curves.items()})
    true = next(iter(curves.values()))[1].true
    parts = {unit: parts_of_heart(true[mine]) for unit, mine in slices.items()}
    for number in numbers:
        _, calibrate, test = splitter.split(number)
        for method, (candidate, of) in curves.items():
            for row, step in enumerate(calibrated_steps(pooled[method].only(calibrate), SURFACE_ALPHA)):
                name = study.class_names[of.classes[row]]
                for place, part in enumerate((*PARTS, _ALL)):
                    at = {unit: parts[unit][:, row] for unit in test}
                    inside = [
                        slices[unit][of_unit >= 0 if part == _ALL else of_unit == place] for unit, of_unit in at.items()
                    ]
                    yield PositionRow(number, method, candidate.name, name, part, *_means(of, row, step, inside))


def _means(of: SetCurves, row: int, step: int, inside: Sequence[np.ndarray]) -> tuple[float, float]:
    """Means of missed and of claimed over true voxels, over the patients whose slices show the class."""
    figures = []
    for images in inside:
        true = int(of.true[images, row].sum())
        if true:
            figures.append([int(counts[images, row, step].sum()) / true for counts in (of.missed, of.size)])
    observed, stretch = np.mean(figures, axis=0) if figures else (np.nan, np.nan)
    return float(observed), float(stretch)


def position_table(rows: Sequence[Row]) -> str:
    """Mean FNR and, in brackets, stretch by class and part of the heart."""
    methods = {row["method"]: row["candidate"] for row in rows}
    found: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        found.setdefault((row["class_name"], row["part"]), {}).setdefault(row["method"], []).append(row)
    lines = [
        [name, part, *(_cell(by_method[method]) for method in methods)] for (name, part), by_method in found.items()
    ]
    head = ("class", "part", *(f"{method}: {candidate}" for method, candidate in methods.items()))
    return markdown(head, lines)


def _cell(rows: Sequence[Row]) -> str:
    observed, stretch = (known(float(row[name]) for row in rows) for name in ("observed", "stretch"))
    return f"{fmean(observed):.3f} ({fmean(stretch):.2f})" if observed else "-"


@click.command(context_settings={"show_default": True})
@click.option("--set", "name", type=click.Choice([name for name in SETS if "slices" in name]), default="acdc-slices-30")
@click.option("--shared", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/study"))
@click.option("--splits", default=100)
@click.option("--seed", default=0)
def main(name: str, shared: Path, out: Path, splits: int, seed: int) -> None:
    """Look at all slices with the candidates that the study of a set, which must be there, chose most often."""
    chosen = [row for row in read_rows(out / f"{name}.csv") if float(row["alpha"]) == SURFACE_ALPHA]
    whole = study_set(name, shared, out, None)
    study = replace(whole, infos=tuple(info for info in whole.infos if "_frame01_" in info.name))
    by_name = {candidate.name: candidate for candidate in candidates_of(name, whole)}
    methods = (PLAIN, "blur or bilateral with keep_peak, tuned", f"walk on {study.sources[0]}, tuned")
    names = usual_candidates(chosen)
    usual = {method: by_name[names[method]] for method in methods}
    folder = out / "curves" / f"{name}-position"
    candidates = list(dict.fromkeys(usual.values()))
    measure(study, candidates, folder)
    of = load_curves(study, candidates, folder)
    curves = {method: (candidate, of[candidate]) for method, candidate in usual.items()}
    splitter = Splitter(tuple(study.units), seed)
    rows = list(position_rows(study, curves, splitter, tqdm(range(splits))))
    save_rows([asdict(row) for row in rows], out / f"{name}-position.csv")
    click.echo(position_table(read_rows(out / f"{name}-position.csv")))


if __name__ == "__main__":
    main()
