"""Tables and pictures of what was promised and what was observed."""

from __future__ import annotations

from monai_rwcp.report.feature_picture import draw_features
from monai_rwcp.report.picture import draw_case
from monai_rwcp.report.table import MeasuredSet, Row, render_table, summarise, write_table

__all__ = ["MeasuredSet", "Row", "draw_case", "draw_features", "render_table", "summarise", "write_table"]
