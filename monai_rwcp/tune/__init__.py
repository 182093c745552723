"""Choosing settings on patients of their own: plain, blurred, or walked, and how."""

from __future__ import annotations

from monai_rwcp.tune.candidates import (
    BlurredScore,
    Candidate,
    PlainScore,
    WalkedScore,
    candidate_from,
    default_candidates,
)
from monai_rwcp.tune.choose import CandidateResult, Choice, Objective, choose, efficiency, working_level
from monai_rwcp.tune.curves import SetCurves, set_curves, tuning_thresholds
from monai_rwcp.tune.scores import blurred, candidate_scores
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.tune.tune import tune_settings

__all__ = [
    "BlurredScore",
    "Candidate",
    "CandidateResult",
    "Choice",
    "Objective",
    "PlainScore",
    "SetCurves",
    "TunedSettings",
    "WalkedScore",
    "blurred",
    "candidate_from",
    "candidate_scores",
    "choose",
    "default_candidates",
    "efficiency",
    "set_curves",
    "tune_settings",
    "tuning_thresholds",
    "working_level",
]
