"""The face that MONAI's and ignite's engines see."""

from __future__ import annotations

from monai_rwcp.handlers.calibration import ConformalCalibrationHandler

__all__ = ["ConformalCalibrationHandler"]
