"""Third stage of the study: distances, components and bleeding of the sets of some splits, each set measured once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.study.cases import StudyCase, StudySet
from benchmarks.study.measure import StudyCandidate, scores_of
from benchmarks.study.splits import Outcome
from monai_rwcp.conformal.sets.prediction_set import set_at
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.scores import WalkedScore
from monai_rwcp.tune import SetCurves, tuning_thresholds
from monai_rwcp.utils.files import written_whole

__all__ = ["SetRow", "measure_sets", "set_rows"]

_ROUNDING = 0.002


@dataclass(frozen=True)
class SetRow:
    """One prediction set of one class of one test image that shows the class.

    Args:
        split: number of the split.
        method: the family, such as "blur, tuned".
        class_name: the class.
        case: name of the image.
        unit: the patient.
        position: where a slice lies in its volume, from 0 to 1; nan for volumes.
        true: voxels of the truth.
        missed: those that the set misses.
        size: voxels of the set.
        average_surface_distance: to the truth's surface; an empty set is as far off as the image's diagonal.
        hausdorff_distance_95: likewise.
        components: connected components of the set.
        bleeding: share of the wrongly claimed voxels that belong to another class; nan when none is.
    """

    split: int
    method: str
    class_name: str
    case: str
    unit: str
    position: float
    true: int
    missed: int
    size: int
    average_surface_distance: float
    hausdorff_distance_95: float
    components: int
    bleeding: float


def measure_sets(
    study: StudySet, candidates: Sequence[StudyCandidate], found: Sequence[Outcome], folder: Path
) -> dict[str, dict[str, list[float]]]:
    """Measure every set that some outcomes need and that no file holds yet; a file for each case.

    Args:
        study: the set.
        candidates: all that the study compares.
        found: the outcomes.
        folder: of the files.

    Returns:
        by case and by the key of a set: size, missed voxels, distances, components and bleeding.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known: dict[str, dict[str, list[float]]] = {}
    for info in tqdm(study.infos, desc=f"{study.name}: sets"):
        path = folder / f"{info.name}.json"
        of_case: dict[str, list[float]] = json.loads(path.read_text()) if path.exists() else {}
        needed: dict[StudyCandidate, set[tuple[int, int]]] = {}
        for outcome in found:
            if info.unit in outcome.test:
                for row, step in enumerate(outcome.steps):
                    if _key(outcome.candidate, row, step) not in of_case:
                        needed.setdefault(outcome.candidate, set()).add((row, step))
        if needed:
            case = study.load(info)
            widest = _widest(candidates, needed)
            for candidate, score in scores_of(case, [c for c in candidates if c in needed or c in widest]):
                for row, step in sorted(needed.get(candidate, ())):
                    of_case[_key(candidate, row, step)] = _figures(case, score, row + 1, step)
            with written_whole(path) as temporary:
                temporary.write_text(json.dumps(of_case))
        known[info.name] = of_case
    return known


def set_rows(
    study: StudySet,
    curves: Mapping[StudyCandidate, SetCurves],
    outcome: Outcome,
    figures: Mapping[str, Mapping[str, Sequence[float]]],
) -> Iterator[SetRow]:
    """Rows of the test images of one outcome that show a class.

    Raises:
        RuntimeError: when a set has another size, or misses another number of voxels, than was counted before, by more
            than what networks round otherwise with another number of threads.
    """
    of = curves[outcome.candidate]
    for i, info in enumerate(study.infos):
        if info.unit not in outcome.test:
            continue
        for row, step in enumerate(outcome.steps):
            size, missed, *rest = figures[info.name][_key(outcome.candidate, row, step)]
            counted = (of.size[i, row, step], of.missed[i, row, step])
            if any(abs(a - b) > max(3, _ROUNDING * b) for a, b in zip((size, missed), counted, strict=True)):
                raise RuntimeError(f"'{info.name}', {outcome.candidate.name}: {(size, missed)} is not {counted}.")
            if of.true[i, row] == 0:
                continue
            average, hausdorff, components, bleeding = rest
            yield SetRow(
                outcome.split,
                outcome.method,
                study.class_names[of.classes[row]],
                info.name,
                info.unit,
                info.position,
                int(of.true[i, row]),
                int(missed),
                int(size),
                average,
                hausdorff,
                int(components),
                bleeding,
            )


def _widest(candidates: Iterable[StudyCandidate], needed: Iterable[StudyCandidate]) -> set[StudyCandidate]:
    """A walk of the most neighbours for each graph needed: of equally near nodes a graph of fewer may keep others."""
    graphs = {_graph(candidate) for candidate in needed if isinstance(candidate, WalkedScore)}
    found: dict[tuple[object, ...], WalkedScore] = {}
    for candidate in candidates:
        if isinstance(candidate, WalkedScore) and (graph := _graph(candidate)) in graphs:
            found[graph] = max(found.get(graph, candidate), candidate, key=lambda walked: walked.walk.k)
    return set(found.values())


def _graph(candidate: WalkedScore) -> tuple[object, ...]:
    return candidate.source, candidate.walk.center, candidate.walk.spatial_weight


def _key(candidate: StudyCandidate, row: int, step: int) -> str:
    return f"{candidate.name} | {row} | {step}"


def _figures(case: StudyCase, score: torch.Tensor, c: int, step: int) -> list[float]:
    found = set_at(score, {c: float(tuning_thresholds()[step])})[c].bool()
    truth = case.label[0] == c
    figures = prediction_set_metrics(found, truth, spacing=case.spacing)
    wrong = found & ~truth
    bleeding = float((case.label[0][wrong] > 0).float().mean()) if wrong.any() else math.nan
    sides = case.spacing or [1.0] * found.ndim
    diagonal = math.hypot(*(n * side for n, side in zip(found.shape, sides, strict=True)))
    distances = [figures.average_surface_distance, figures.hausdorff_distance_95]
    if not found.any() and truth.any():
        distances = [diagonal, diagonal]
    return [figures.size, figures.missed, *distances, figures.components, bleeding]
