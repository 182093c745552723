"""First stage of the study: what every way of making a score misses and claims, case by case, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.baselines import BilateralScore, DilatedScore, PeakKeptScore, baseline_candidates
from benchmarks.study_cases import StudyCase, StudySet
from monai_rwcp.files import written_whole
from monai_rwcp.tune import Candidate, SetCurves, WalkedScore, candidate_scores, default_candidates, set_curves
from monai_rwcp.walk import Grid, WalkSettings, paper, recommended

__all__ = ["StudyCandidate", "load_curves", "measure", "scores_of", "study_candidates"]

_BASELINES = (DilatedScore, BilateralScore, PeakKeptScore)

StudyCandidate = Candidate | DilatedScore | BilateralScore | PeakKeptScore


def study_candidates(sources: Sequence[str], grid: Grid, *, volumes: bool = False) -> list[StudyCandidate]:
    """Everything the study compares: what tuning chooses among (in 3D a part of it), and the others' settings."""
    named = [WalkSettings(**{**settings, "grid": grid}) for settings in (paper(), recommended())]

    def wanted(candidate: Candidate) -> bool:
        if not volumes or not isinstance(candidate, WalkedScore) or candidate.walk in named:
            return True
        return candidate.walk.k == 20 and candidate.walk.n_steps != 10

    return [*filter(wanted, default_candidates(sources, grid=grid)), *baseline_candidates()]


def scores_of(case: StudyCase, candidates: Sequence[StudyCandidate]) -> Iterator[tuple[StudyCandidate, torch.Tensor]]:
    """The scores of one case, in an order of their own."""
    tuned = [c for c in candidates if not isinstance(c, _BASELINES)]
    yield from candidate_scores(case.probabilities, tuned, case.features, spacing=case.spacing)
    for candidate in candidates:
        if isinstance(candidate, _BASELINES):
            yield candidate, candidate.score(case.probabilities, case.image)


def measure(study: StudySet, candidates: Sequence[StudyCandidate], folder: Path) -> None:
    """Count every case that is not counted yet; a file for each case, so that a killed run goes on where it was."""
    folder.mkdir(parents=True, exist_ok=True)
    left = [info for info in study.infos if not (folder / f"{info.name}.npz").exists()]
    for info in tqdm(left, desc=study.name, initial=len(study.infos) - len(left), total=len(study.infos)):
        case = study.load(info)
        curves = {
            candidate.name: set_curves(score, case.label, unit=info.name)
            for candidate, score in scores_of(case, candidates)
        }
        arrays = {
            name: np.stack([getattr(curves[c.name], name)[0] for c in candidates]).astype(np.int32)
            for name in ("true", "missed", "size")
        }
        names = np.array([candidate.name for candidate in candidates])
        with written_whole(folder / f"{info.name}.npz") as temporary:
            np.savez_compressed(temporary, allow_pickle=False, names=names, **arrays)


def load_curves(study: StudySet, candidates: Sequence[StudyCandidate], folder: Path) -> dict[StudyCandidate, SetCurves]:
    """Curves of all cases for each candidate, rows by case."""
    files = []
    for info in study.infos:
        with np.load(folder / f"{info.name}.npz") as file:
            files.append({name: file[name] for name in file.files})
    expected = [candidate.name for candidate in candidates]
    if any(file["names"].tolist() != expected for file in files):
        raise ValueError(f"'{folder}' holds other candidates than these. Measure into another folder.")
    units, classes = tuple(info.name for info in study.infos), tuple(range(1, len(study.class_names)))
    return {
        candidate: SetCurves(units, classes, *(np.stack([f[n][i] for f in files]) for n in ("true", "missed", "size")))
        for i, candidate in enumerate(candidates)
    }
