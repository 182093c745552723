"""What can go wrong with a set in one image, each counted at every threshold level."""

from __future__ import annotations

from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss
from monai_rwcp.conformal.counting.losses.choice import LossChoice, loss_from, loss_from_record
from monai_rwcp.conformal.counting.losses.custom import CustomLoss
from monai_rwcp.conformal.counting.losses.pieces import InstanceFalseNegativeRate
from monai_rwcp.conformal.counting.losses.surface import SurfaceFalseNegativeRate
from monai_rwcp.conformal.counting.losses.voxels import (
    FalseDiscoveryProportion,
    FalseNegativeRate,
    InnerSetLoss,
    WeightedFalseNegativeRate,
)

__all__ = [
    "ClassCase",
    "CustomLoss",
    "FalseDiscoveryProportion",
    "FalseNegativeRate",
    "InnerSetLoss",
    "InstanceFalseNegativeRate",
    "LossChoice",
    "SetLoss",
    "SurfaceFalseNegativeRate",
    "WeightedFalseNegativeRate",
    "loss_from",
    "loss_from_record",
]
