"""The face that MONAI's and ignite's engines see."""

from __future__ import annotations

from monai_rwcp.handlers.calibration import ConformalCalibrationHandler
from monai_rwcp.handlers.items import engine_items

__all__ = ["ConformalCalibrationHandler", "engine_items"]
