"""Where features come from: one small protocol, and one file for each source."""

from __future__ import annotations

from monai_rwcp.features.cached import CachedFeatures
from monai_rwcp.features.exported import ExportedFeatures
from monai_rwcp.features.foundation import FoundationFeatures
from monai_rwcp.features.mind import MINDFeatures
from monai_rwcp.features.network import NetworkFeatures
from monai_rwcp.features.protocol import FeatureExtractor
from monai_rwcp.features.weights import weights_hash

__all__ = [
    "CachedFeatures",
    "ExportedFeatures",
    "FeatureExtractor",
    "FoundationFeatures",
    "MINDFeatures",
    "NetworkFeatures",
    "weights_hash",
]
