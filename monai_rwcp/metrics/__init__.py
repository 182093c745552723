"""What a prediction set is worth."""

from __future__ import annotations

from monai_rwcp.metrics.cumulative import PredictionSetMetrics
from monai_rwcp.metrics.prediction_set import SetMetrics, pooled_false_negative_rate, prediction_set_metrics
from monai_rwcp.metrics.sandwich import SandwichMetrics, sandwich_metrics
from monai_rwcp.metrics.summary import (
    ImageFigures,
    class_figures,
    stratum_false_negative_rates,
    unit_false_negative_rates,
)
from monai_rwcp.metrics.voxel_size import volume_ml, voxel_sizes

__all__ = [
    "ImageFigures",
    "PredictionSetMetrics",
    "SandwichMetrics",
    "SetMetrics",
    "class_figures",
    "pooled_false_negative_rate",
    "prediction_set_metrics",
    "sandwich_metrics",
    "stratum_false_negative_rates",
    "unit_false_negative_rates",
    "volume_ml",
    "voxel_sizes",
]
