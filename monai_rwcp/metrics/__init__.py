"""What a prediction set is worth."""

from __future__ import annotations

from monai_rwcp.metrics.prediction_set import SetMetrics, pooled_false_negative_rate, prediction_set_metrics
from monai_rwcp.metrics.sandwich import SandwichMetrics, sandwich_metrics

__all__ = [
    "SandwichMetrics",
    "SetMetrics",
    "pooled_false_negative_rate",
    "prediction_set_metrics",
    "sandwich_metrics",
]
