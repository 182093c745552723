"""What a prediction set is worth."""

from __future__ import annotations

from monai_rwcp.metrics.prediction_set import SetMetrics, prediction_set_metrics

__all__ = ["SetMetrics", "prediction_set_metrics"]
