"""Tables, pictures and the page of what was promised and what was observed."""

from __future__ import annotations

from monai_rwcp.report.feature_picture import draw_features
from monai_rwcp.report.handler import ReportHandler
from monai_rwcp.report.picture import draw_case
from monai_rwcp.report.plots import plot_observed, plot_prediction_set, plot_risk
from monai_rwcp.report.table import MeasuredSet, Row, render_table, summarise, write_table
from monai_rwcp.report.tuning import draw_tuning, tuning_table

__all__ = [
    "MeasuredSet",
    "ReportHandler",
    "Row",
    "draw_case",
    "draw_features",
    "draw_tuning",
    "plot_observed",
    "plot_prediction_set",
    "plot_risk",
    "render_table",
    "summarise",
    "tuning_table",
    "write_table",
]
