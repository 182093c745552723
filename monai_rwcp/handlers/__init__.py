"""The ignite and MONAI face of calibration, features, metrics, and the watch over deployed cases."""

from __future__ import annotations

from monai_rwcp.handlers.calibration import ConformalCalibrationHandler
from monai_rwcp.handlers.forward_features import ForwardFeaturesHandler
from monai_rwcp.handlers.items import engine_items
from monai_rwcp.handlers.metrics import PredictionSetMetricsHandler
from monai_rwcp.handlers.monitor import ExchangeabilityMonitorHandler
from monai_rwcp.handlers.summaries import CaseSummaryHandler

__all__ = [
    "CaseSummaryHandler",
    "ConformalCalibrationHandler",
    "ExchangeabilityMonitorHandler",
    "ForwardFeaturesHandler",
    "PredictionSetMetricsHandler",
    "engine_items",
]
