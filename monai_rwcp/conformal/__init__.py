"""Pure numbers: loss tables, conformal risk control, and the calibration artefact."""

from __future__ import annotations

from monai_rwcp.conformal.calibrate import Scope, calibrate
from monai_rwcp.conformal.calibration import Calibration, ClassCalibration
from monai_rwcp.conformal.case_summary import case_summary
from monai_rwcp.conformal.case_table import case_loss_table, false_negative_rate_table
from monai_rwcp.conformal.density_ratio import DensityRatio, fit_density_ratio
from monai_rwcp.conformal.exchangeability import ExchangeabilityMartingale, online_p_value
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
from monai_rwcp.conformal.monitor import ExchangeabilityMonitor, LossOfCase, MonitoredCase, MonitorVerdict
from monai_rwcp.conformal.prediction_set import prediction_set
from monai_rwcp.conformal.promises import Bound, Method, Promise, minimum_n
from monai_rwcp.conformal.provenance import UNRECORDED, VARIES, compared_fields, first_difference, join_provenance
from monai_rwcp.conformal.realised_loss import RealisedLossMonitor, realised_losses
from monai_rwcp.conformal.sandwich import Sandwich, conformal_sandwich
from monai_rwcp.conformal.sizes import curve_thresholds, set_sizes
from monai_rwcp.conformal.summaries import CaseSummaries, ImageSummary
from monai_rwcp.conformal.truth import (
    LabelMode,
    calibrated_classes,
    check_label,
    check_score,
    check_single_channel,
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
    "CaseSummaries",
    "ClassCalibration",
    "CustomLoss",
    "DensityRatio",
    "EmptyTruth",
    "ExchangeabilityMartingale",
    "ExchangeabilityMonitor",
    "FalseDiscoveryProportion",
    "FalseNegativeRate",
    "Histogram",
    "ImageCounts",
    "ImageSummary",
    "InnerSetLoss",
    "InstanceFalseNegativeRate",
    "LabelMode",
    "LossChoice",
    "LossOfCase",
    "LossTable",
    "Method",
    "MonitorVerdict",
    "MonitoredCase",
    "Outside",
    "Promise",
    "RealisedLossMonitor",
    "Sandwich",
    "Scope",
    "SetLoss",
    "SurfaceFalseNegativeRate",
    "UnitLoss",
    "WeightedFalseNegativeRate",
    "calibrate",
    "calibrated_classes",
    "case_loss_table",
    "case_summary",
    "check_label",
    "check_score",
    "check_single_channel",
    "compared_fields",
    "conformal_sandwich",
    "curve_thresholds",
    "false_negative_rate_table",
    "first_difference",
    "fit_density_ratio",
    "join_provenance",
    "level_of",
    "loss_from",
    "minimum_n",
    "online_p_value",
    "outside_field",
    "prediction_set",
    "realised_losses",
    "set_sizes",
    "threshold_levels",
    "truth_masks",
]
