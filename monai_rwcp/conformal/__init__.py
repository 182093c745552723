"""Pure numbers: loss tables, conformal risk control, and the calibration artefact."""

from __future__ import annotations

from monai_rwcp.conformal.calibrate import EmptyTruth, Scope, UnitLoss, calibrate, minimum_n
from monai_rwcp.conformal.calibration import Calibration, ClassCalibration
from monai_rwcp.conformal.case_summary import case_summary
from monai_rwcp.conformal.exchangeability import ExchangeabilityMartingale, online_p_value
from monai_rwcp.conformal.false_negative_rate import false_negative_rate_table
from monai_rwcp.conformal.levels import LEVEL_GRID, level_of, threshold_levels
from monai_rwcp.conformal.loss_table import ImageCounts, LabelMode, LossTable, Outside
from monai_rwcp.conformal.monitor import ExchangeabilityMonitor, LossOfCase, MonitoredCase, MonitorVerdict
from monai_rwcp.conformal.prediction_set import prediction_set
from monai_rwcp.conformal.provenance import UNRECORDED, VARIES, first_difference, join_provenance
from monai_rwcp.conformal.realised_loss import RealisedLossMonitor, realised_losses
from monai_rwcp.conformal.summaries import CaseSummaries, ImageSummary
from monai_rwcp.conformal.truth import calibrated_classes, check_label, check_score, outside_field, truth_masks

__all__ = [
    "LEVEL_GRID",
    "UNRECORDED",
    "VARIES",
    "Calibration",
    "CaseSummaries",
    "ClassCalibration",
    "EmptyTruth",
    "ExchangeabilityMartingale",
    "ExchangeabilityMonitor",
    "ImageCounts",
    "ImageSummary",
    "LabelMode",
    "LossOfCase",
    "LossTable",
    "MonitorVerdict",
    "MonitoredCase",
    "Outside",
    "RealisedLossMonitor",
    "Scope",
    "UnitLoss",
    "calibrate",
    "calibrated_classes",
    "case_summary",
    "check_label",
    "check_score",
    "false_negative_rate_table",
    "first_difference",
    "join_provenance",
    "level_of",
    "minimum_n",
    "online_p_value",
    "outside_field",
    "prediction_set",
    "realised_losses",
    "threshold_levels",
    "truth_masks",
]
