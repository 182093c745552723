"""First stage of the study: what every way of making a score misses and claims, case by case, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.common.baselines import BilateralScore, DilatedScore, PeakKeptScore, baseline_candidates
from benchmarks.study.cases import StudyCase, StudySet
from monai_rwcp.scores import Score, WalkedScore, make_together
from monai_rwcp.tune import SetCurves, default_candidates, set_curves
from monai_rwcp.utils.files import written_whole
from monai_rwcp.walk import Grid, WalkSettings, paper, recommended

__all__ = ["StudyCandidate", "by_patient", "load_curves", "measure", "scores_of", "study_candidates"]

_BASELINES = (DilatedScore, BilateralScore, PeakKeptScore)
_COUNTS = ("true", "missed", "size")

_Key = TypeVar("_Key")

StudyCandidate = Score | DilatedScore | BilateralScore | PeakKeptScore


def study_candidates(
    sources: Sequence[str], grid: Grid, *, fine_grid: Grid | None = None, volumes: bool = False
) -> list[StudyCandidate]:
    """Everything the study compares: what tuning chooses among (in 3D a part of it), and the others' settings."""
    named = [WalkSettings(**{**settings, "grid": grid}) for settings in (paper(), recommended())]

    def wanted(candidate: Score) -> bool:
        if not volumes or not isinstance(candidate, WalkedScore) or candidate.walk in named:
            return True
        return candidate.walk.k == 20 and candidate.walk.n_steps != 10

    return [*filter(wanted, default_candidates(sources, grid=grid, fine_grid=fine_grid)), *baseline_candidates()]


def scores_of(case: StudyCase, candidates: Sequence[StudyCandidate]) -> Iterator[tuple[StudyCandidate, torch.Tensor]]:
    """The scores of one case, in an order of their own."""
    tuned: list[Score] = [c for c in candidates if not isinstance(c, _BASELINES)]
    yield from make_together(case.probabilities, tuned, case.features, spacing=case.spacing)
    asked = set(candidates)
    bases = (c.base if isinstance(c, PeakKeptScore) else c for c in candidates)
    for base in dict.fromkeys(c for c in bases if isinstance(c, BilateralScore)):
        score, kept = base.score(case.probabilities, case.image), PeakKeptScore(base)
        if base in asked:
            yield base, score
        if kept in asked:
            yield kept, kept.score(case.probabilities, score)
    for candidate in candidates:
        if isinstance(candidate, DilatedScore):
            yield candidate, candidate.score(case.probabilities)


def measure(study: StudySet, candidates: Sequence[StudyCandidate], folder: Path) -> None:
    """Count every case by every candidate, what is counted already left out; a file for each case."""
    folder.mkdir(parents=True, exist_ok=True)
    for info in tqdm(study.infos, desc=study.name):
        path = folder / f"{info.name}.npz"
        names = _names(path) if path.exists() else []
        left = [candidate for candidate in candidates if candidate.name not in names]
        if not left:
            continue
        case, counted = study.load(info), _read(path) if names else {}
        for candidate, score in scores_of(case, left):
            of = set_curves(score, case.label, unit=info.name)
            counted[candidate.name] = {name: getattr(of, name)[0].astype(np.int32) for name in _COUNTS}
        arrays = {name: np.stack([of[name] for of in counted.values()]) for name in _COUNTS}
        with written_whole(path) as temporary:
            np.savez_compressed(temporary, allow_pickle=False, names=np.array(list(counted)), **arrays)


def load_curves(study: StudySet, candidates: Sequence[StudyCandidate], folder: Path) -> dict[StudyCandidate, SetCurves]:
    """Curves of all cases for each candidate, rows by case."""
    of_cases = {}
    for info in study.infos:
        of_cases[info.name] = _read(folder / f"{info.name}.npz")
        missing = [c.name for c in candidates if c.name not in of_cases[info.name]]
        if missing:
            raise ValueError(f"'{info.name}' in '{folder}' is not counted by {missing[:3]}. Run the study on.")
    classes = tuple(range(1, len(study.class_names)))
    return {
        c: SetCurves(
            tuple(of_cases), classes, *(np.stack([of[c.name][n] for of in of_cases.values()]) for n in _COUNTS)
        )
        for c in candidates
    }


def by_patient(study: StudySet, curves: Mapping[_Key, SetCurves]) -> dict[_Key, SetCurves]:
    """The same counts, added up by patient."""
    owner = {info.name: info.unit for info in study.infos}
    return {key: of.pooled(owner) for key, of in curves.items()}


def _names(path: Path) -> list[str]:
    with np.load(path) as file:
        return [str(name) for name in file["names"]]


def _read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return {name: {n: arrays[n][i] for n in _COUNTS} for i, name in enumerate(arrays["names"].tolist())}
