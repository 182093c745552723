"""The sets of the study by their names, and what is compared on each."""

from __future__ import annotations

from pathlib import Path

from benchmarks.study.cases import STRENGTHS, StudySet, acdc_slices, acdc_volumes, hippocampus
from benchmarks.study.measure import StudyCandidate, study_candidates
from monai_rwcp.walk import Grid

__all__ = ["SETS", "SURFACE_ALPHA", "candidates_of", "study_set"]

SETS = (
    *(f"acdc-slices-{n}" for n in (3, 8, 30)),
    *(f"acdc-volumes-{n}" for n in (3, 8, 30)),
    *(f"hippocampus-{strength}" for strength in STRENGTHS),
)

# Distances cost milliseconds a set, so they are measured at one promise.
SURFACE_ALPHA = 0.1


def study_set(name: str, shared: Path, out: Path, slices: int | None) -> StudySet:
    """One of the sets by its name."""
    kind, which = name.rsplit("-", 1)
    if kind == "hippocampus":
        return hippocampus(shared / "data" / "hippocampus", which, out)
    weights = shared / "weights" / f"acdc_unet_{which}patients.pt"
    if kind == "acdc-volumes":
        return acdc_volumes(shared / "data" / "acdc", weights)
    encoder = shared / "weights" / "litemedsam_encoder_256.pt2"
    return acdc_slices(shared / "data" / "acdc", weights, encoder, out / "features", slices)


def candidates_of(name: str, study: StudySet) -> list[StudyCandidate]:
    """What is compared on a set; on a fine grid, too, where the network is strong and maps are small."""
    volumes = not name.startswith("acdc-slices")
    grid: Grid = 2 if name.startswith("hippocampus") else (4, 4, 1) if volumes else 4
    fine_grid = 2 if name == "acdc-slices-30" else None
    return study_candidates(study.sources, grid, fine_grid=fine_grid, volumes=volumes)
