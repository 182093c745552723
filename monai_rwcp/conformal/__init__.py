"""Pure numbers: loss tables, conformal risk control, and the calibration artefact."""

from __future__ import annotations

from monai_rwcp.conformal.calibrate import Scope, calibrate
from monai_rwcp.conformal.calibration import Calibration, ClassCalibration
from monai_rwcp.conformal.case_table import case_loss_table, false_negative_rate_table
from monai_rwcp.conformal.levels import EMPTY_SET, LEVEL_GRID, level_of, threshold_levels
from monai_rwcp.conformal.loss_table import Histogram, ImageCounts, LossTable, Outside
from monai_rwcp.conformal.losses import (
    CustomLoss,
    FalseDiscoveryProportion,
    FalseNegativeRate,
    InnerSetLoss,
    InstanceFalseNegativeRate,
    LossChoice,
    SetLoss,
    SurfaceFalseNegativeRate,
    WeightedFalseNegativeRate,
    loss_from,
)
from monai_rwcp.conformal.prediction_set import prediction_set
from monai_rwcp.conformal.promises import Bound, Method, Promise, minimum_n
from monai_rwcp.conformal.provenance import UNRECORDED, VARIES, first_difference, join_provenance
from monai_rwcp.conformal.sandwich import Sandwich, conformal_sandwich
from monai_rwcp.conformal.truth import (
    LabelMode,
    calibrated_classes,
    check_label,
    check_score,
    outside_field,
    truth_masks,
)
from monai_rwcp.conformal.unit_losses import EmptyTruth, UnitLoss

__all__ = [
    "EMPTY_SET",
    "LEVEL_GRID",
    "UNRECORDED",
    "VARIES",
    "Bound",
    "Calibration",
    "ClassCalibration",
    "CustomLoss",
    "EmptyTruth",
    "FalseDiscoveryProportion",
    "FalseNegativeRate",
    "Histogram",
    "ImageCounts",
    "InnerSetLoss",
    "InstanceFalseNegativeRate",
    "LabelMode",
    "LossChoice",
    "LossTable",
    "Method",
    "Outside",
    "Promise",
    "Sandwich",
    "Scope",
    "SetLoss",
    "SurfaceFalseNegativeRate",
    "UnitLoss",
    "WeightedFalseNegativeRate",
    "calibrate",
    "calibrated_classes",
    "case_loss_table",
    "check_label",
    "check_score",
    "false_negative_rate_table",
    "conformal_sandwich",
    "first_difference",
    "join_provenance",
    "level_of",
    "loss_from",
    "minimum_n",
    "outside_field",
    "prediction_set",
    "threshold_levels",
    "truth_masks",
]
