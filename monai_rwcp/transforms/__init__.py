"""The face that MONAI's transform chains see: one array and dictionary pair a file."""

from __future__ import annotations

from monai_rwcp.transforms.conformal_sandwich import (
    ConformalSandwich,
    ConformalSandwichD,
    ConformalSandwichd,
    ConformalSandwichDict,
)
from monai_rwcp.transforms.conformal_threshold import (
    ConformalThreshold,
    ConformalThresholdD,
    ConformalThresholdd,
    ConformalThresholdDict,
)
from monai_rwcp.transforms.dense_features import DenseFeatures, DenseFeaturesD, DenseFeaturesd, DenseFeaturesDict
from monai_rwcp.transforms.provenance import (
    NetworkProvenanceD,
    NetworkProvenanced,
    NetworkProvenanceDict,
    provenance_key,
    score_provenance,
)
from monai_rwcp.transforms.random_walk_diffusion import (
    RandomWalkDiffusion,
    RandomWalkDiffusionD,
    RandomWalkDiffusiond,
    RandomWalkDiffusionDict,
)
from monai_rwcp.transforms.shift_weight import ShiftWeight, ShiftWeightD, ShiftWeightd, ShiftWeightDict
from monai_rwcp.transforms.tuned_score import TunedScore, TunedScoreD, TunedScored, TunedScoreDict

__all__ = [
    "ConformalSandwich",
    "ConformalSandwichD",
    "ConformalSandwichDict",
    "ConformalSandwichd",
    "ConformalThreshold",
    "ConformalThresholdD",
    "ConformalThresholdDict",
    "ConformalThresholdd",
    "DenseFeatures",
    "DenseFeaturesD",
    "DenseFeaturesDict",
    "DenseFeaturesd",
    "NetworkProvenanceD",
    "NetworkProvenanceDict",
    "NetworkProvenanced",
    "RandomWalkDiffusion",
    "RandomWalkDiffusionD",
    "RandomWalkDiffusionDict",
    "RandomWalkDiffusiond",
    "ShiftWeight",
    "ShiftWeightD",
    "ShiftWeightDict",
    "ShiftWeightd",
    "TunedScore",
    "TunedScoreD",
    "TunedScoreDict",
    "TunedScored",
    "provenance_key",
    "score_provenance",
]
