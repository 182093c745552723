"""Pure numbers: loss tables, conformal risk control, and the calibration artefact."""

from __future__ import annotations

from monai_rwcp.conformal.calibrate import EmptyTruth, Scope, UnitLoss, calibrate, minimum_n
from monai_rwcp.conformal.calibration import Calibration, ClassCalibration
from monai_rwcp.conformal.false_negative_rate import false_negative_rate_table
from monai_rwcp.conformal.levels import LEVEL_GRID, level_of, threshold_levels
from monai_rwcp.conformal.loss_table import ImageCounts, LabelMode, LossTable, Outside
from monai_rwcp.conformal.prediction_set import prediction_set
from monai_rwcp.conformal.provenance import UNRECORDED, VARIES, first_difference, join_provenance
from monai_rwcp.conformal.truth import calibrated_classes, check_label, check_score, outside_field, truth_masks

__all__ = [
    "LEVEL_GRID",
    "UNRECORDED",
    "VARIES",
    "Calibration",
    "ClassCalibration",
    "EmptyTruth",
    "ImageCounts",
    "LabelMode",
    "LossTable",
    "Outside",
    "Scope",
    "UnitLoss",
    "calibrate",
    "calibrated_classes",
    "check_label",
    "check_score",
    "false_negative_rate_table",
    "first_difference",
    "join_provenance",
    "level_of",
    "minimum_n",
    "outside_field",
    "prediction_set",
    "threshold_levels",
    "truth_masks",
]
