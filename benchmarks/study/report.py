"""Last stage of the study: draw its pictures and keep what the page is made of beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

import click
import numpy as np
import torch

from benchmarks.common.baselines import BilateralScore
from benchmarks.common.rows import Row, number
from benchmarks.common.splitter import Splitter
from benchmarks.study.cases import StudySet
from benchmarks.study.figures import PLAIN, by_method_and_split, of_what_is_claimed, usual_candidates
from benchmarks.study.licences import may_be_shown
from benchmarks.study.measure import StudyCandidate, by_patient, load_curves, scores_of
from benchmarks.study.page import KEPT, PAGES, write_pages
from benchmarks.study.pictures import save_images, save_methods, save_settings, save_slopes, slopes
from benchmarks.study.sets import SETS, SURFACE_ALPHA, candidates_of, study_set
from benchmarks.study.splits import outcomes
from benchmarks.study.store import StudyFacts, StudyResults, rows_of, save_results
from monai_rwcp.scores import BlurredScore, PlainScore
from monai_rwcp.tune import SetCurves, tuning_thresholds


@click.command(context_settings={"show_default": True})
@click.option("--set", "names", type=click.Choice(SETS), multiple=True, required=True, help="May be repeated.")
@click.option("--shared", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("out/study"))
@click.option("--slices", default=2, help="As in the study.")
@click.option("--seed", default=0, help="As in the study.")
@click.option("--pages", type=click.Path(file_okay=False, path_type=Path), default=PAGES)
@click.option("--results", "kept", type=click.Path(file_okay=False, path_type=Path), default=KEPT)
def main(names: tuple[str, ...], shared: Path, out: Path, slices: int, seed: int, pages: Path, kept: Path) -> None:
    """Draw the pictures of some sets, keep their rows, and write the pages of all that are kept."""
    pictures = pages / "study"
    for folder in (pictures, kept):
        folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        study = study_set(name, shared, out, slices)
        candidates = candidates_of(name, study)
        curves = load_curves(study, candidates, out / "curves" / name)
        rows, *more = rows_of(name, out, ".csv")
        if not rows:
            raise click.ClickException(f"No rows in '{out / name}.csv'. Run `python -m benchmarks.study` first.")
        images = (pictures if may_be_shown(name) else out) / f"{name}.png"
        facts = _facts(name, study, curves, rows, more[0], pictures, images, seed)
        save_results(name, StudyResults(facts, rows, *more), kept)
        click.echo(f"{name}: done")
    write_pages(pages, kept)
    click.echo(f"{pages / 'study.md'}")


def _facts(
    name: str,
    study: StudySet,
    curves: dict[StudyCandidate, SetCurves],
    rows: list[Row],
    sets: list[Row],
    pictures: Path,
    images: Path,
    seed: int,
) -> StudyFacts:
    """Draw the pictures of a set, and tell what its part of the page says besides the rows."""
    pooled = by_patient(study, curves)
    source = study.sources[0]
    walk = f"walk on {source}, tuned"
    at = [row for row in rows if float(row["alpha"]) == SURFACE_ALPHA]
    if not at:
        raise click.ClickException(f"The study of '{name}' has no splits at alpha = {SURFACE_ALPHA}, which are drawn.")
    by_name = {candidate.name: candidate for candidate in pooled}
    usual = {method: by_name[candidate] for method, candidate in usual_candidates(at).items()}
    walked = usual[walk]
    columns = {label: by_method_and_split(at, partial(number, of)) for label, of in _AT_SPLITS.items()}
    surfaces = {
        label: by_method_and_split(sets, partial(of_what_is_claimed, of)) for label, of in _AT_SETS.items() if sets
    }
    save_methods(columns | surfaces, f"{study.name}, alpha = {SURFACE_ALPHA}", pictures / f"{name}-methods.png")
    title = f"{study.name}: stretch on all unseen patients by settings of the walk on {source} (exploratory)"
    save_settings(pooled, source, SURFACE_ALPHA, title, pictures / f"{name}-settings.png")
    both = {"plain": pooled[PlainScore()], walked.name: pooled[walked]}
    save_slopes(both, study.class_names, SURFACE_ALPHA, study.name, pictures / f"{name}-slopes.png")
    by_threshold, by_alpha = zip(*(slopes(of, SURFACE_ALPHA) for of in both.values()), strict=True)
    rule = ""
    if sets:
        splitter = Splitter(tuple(study.units), seed)
        rule = _save_images(study, curves, pooled, sets, walk, splitter, images)
    return StudyFacts(
        study.name,
        study.unit_of_length,
        len(study.units),
        len(study.infos),
        ", ".join(f"{package} {version(package)}" for package in ("monai_rwcp", "torch", "monai", "numpy")),
        walk,
        walked.name,
        by_threshold,
        by_alpha,
        _widest(list(pooled)),
        _seconds(study, usual),
        rule,
    )


def _widest(candidates: Sequence[StudyCandidate]) -> dict[str, tuple[float, list[str]]]:
    blurs = {c.name: c.sigma for c in candidates if isinstance(c, BlurredScore) and not c.keep_peak}
    bilateral = {c.name: c.sigma_space for c in candidates if isinstance(c, BilateralScore)}
    return {
        method: (max(widths.values()), [name for name, width in widths.items() if width == max(widths.values())])
        for method, widths in (("blur, tuned", blurs), ("bilateral, tuned", bilateral))
    }


def _seconds(study: StudySet, candidates: Mapping[str, StudyCandidate]) -> dict[str, float]:
    """How long one thread takes for the score of an image, median of five images that are spread over the set."""
    found: dict[str, list[float]] = {method: [] for method in candidates}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for i in np.linspace(0, len(study.infos) - 1, 5).round().astype(int):
        case = study.load(study.infos[i])
        for method, candidate in candidates.items():
            start = perf_counter()
            list(scores_of(case, [candidate]))
            found[method].append(perf_counter() - start)
    torch.set_num_threads(threads)
    return {method: median(seconds) for method, seconds in found.items()}


_AT_SPLITS = {"stretch": "stretch", "Dice": "dice"}
_AT_SETS = {"ASSD": "average_surface_distance", "HD95": "hausdorff_distance_95"}


def _save_images(
    study: StudySet,
    curves: dict[StudyCandidate, SetCurves],
    pooled: dict[StudyCandidate, SetCurves],
    sets: list[Row],
    walk: str,
    splitter: Splitter,
    path: Path,
) -> str:
    """Draw images by the plain sets' distance in the first split, and the one where the walk's set is farthest off."""
    c = len(study.class_names) - 1
    found = {o.method: o for o in outcomes(pooled, splitter, 0, SURFACE_ALPHA) if o.method in (PLAIN, walk)}
    of_class = [row for row in sets if row["split"] == "0" and row["class_name"] == study.class_names[c]]
    of_class.sort(key=lambda row: float(row["hausdorff_distance_95"]))
    places = {"easy": (PLAIN, 0.1), "typical": (PLAIN, 0.5), "plain worst": (PLAIN, 1.0), "walk worst": (walk, 1.0)}
    shown = []
    for word, (by, share) in places.items():
        ranked = [row for row in of_class if row["method"] == by]
        row = ranked[round(share * (len(ranked) - 1))]
        case = study.load(next(info for info in study.infos if info.name == row["case"]))
        scores = dict(scores_of(case, list({o.candidate: None for o in found.values()})))
        masks: dict[str, np.ndarray] = {
            method: (scores[o.candidate][c] >= float(tuning_thresholds()[o.steps[c - 1]])).numpy()
            for method, o in found.items()
        }
        heading = f"{word}: {row['case']}"
        shown.append((heading, case, scores[found[walk].candidate][c].numpy(), masks))
    title = f"{study.name}: {study.class_names[c]}, truth in green, alpha = {SURFACE_ALPHA}"
    save_images(shown, c, title, path)
    return (
        f"Images of the {study.class_names[c]}, chosen by rule: in the first split, those at the 10th, 50th and 100th "
        "percentile of the plain sets' HD95, and the walked set that is farthest off (empty sets are farthest)."
    )


if __name__ == "__main__":
    main()
