"""Prediction sets with a statistical promise for MONAI segmentation networks, that also look like anatomy."""

from __future__ import annotations

from monai_rwcp.conformal import (
    Calibration,
    CaseSummaries,
    ExchangeabilityMonitor,
    LossTable,
    RealisedLossMonitor,
    calibrate,
    false_negative_rate_table,
)
from monai_rwcp.features import (
    CachedFeatures,
    ExportedFeatures,
    FeatureExtractor,
    FoundationFeatures,
    MINDFeatures,
    NetworkFeatures,
)
from monai_rwcp.handlers import (
    CaseSummaryHandler,
    ConformalCalibrationHandler,
    ExchangeabilityMonitorHandler,
    ForwardFeaturesHandler,
)
from monai_rwcp.transforms import (
    ConformalThreshold,
    ConformalThresholdD,
    ConformalThresholdd,
    ConformalThresholdDict,
    DenseFeatures,
    DenseFeaturesD,
    DenseFeaturesd,
    DenseFeaturesDict,
    NetworkProvenanceD,
    NetworkProvenanced,
    NetworkProvenanceDict,
    RandomWalkDiffusion,
    RandomWalkDiffusionD,
    RandomWalkDiffusiond,
    RandomWalkDiffusionDict,
)
from monai_rwcp.version import __version__
from monai_rwcp.walk import WalkSettings, knn_graph, paper, random_walk, recommended

__all__ = [
    "CachedFeatures",
    "Calibration",
    "CaseSummaries",
    "CaseSummaryHandler",
    "ConformalCalibrationHandler",
    "ConformalThreshold",
    "ConformalThresholdD",
    "ConformalThresholdDict",
    "ConformalThresholdd",
    "DenseFeatures",
    "DenseFeaturesD",
    "DenseFeaturesDict",
    "DenseFeaturesd",
    "ExchangeabilityMonitor",
    "ExchangeabilityMonitorHandler",
    "ExportedFeatures",
    "FeatureExtractor",
    "ForwardFeaturesHandler",
    "FoundationFeatures",
    "LossTable",
    "MINDFeatures",
    "NetworkFeatures",
    "NetworkProvenanceD",
    "NetworkProvenanceDict",
    "NetworkProvenanced",
    "RandomWalkDiffusion",
    "RandomWalkDiffusionD",
    "RandomWalkDiffusionDict",
    "RandomWalkDiffusiond",
    "RealisedLossMonitor",
    "WalkSettings",
    "__version__",
    "calibrate",
    "false_negative_rate_table",
    "knn_graph",
    "paper",
    "random_walk",
    "recommended",
]
