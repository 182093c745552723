"""The ignite and MONAI face of calibration and of features."""

from __future__ import annotations

from monai_rwcp.handlers.calibration import ConformalCalibrationHandler
from monai_rwcp.handlers.forward_features import ForwardFeaturesHandler
from monai_rwcp.handlers.items import engine_items

__all__ = ["ConformalCalibrationHandler", "ForwardFeaturesHandler", "engine_items"]
