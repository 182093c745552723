"""A promise in which some voxels count more."""

import torch

from docs.gallery.patients import CLASS_NAMES, calibration_items
from monai_rwcp import LossTable
from monai_rwcp.conformal import case_loss_table
from monai_rwcp.report import plot_risk


def near_the_wall(item):
    """Voxels of the organ within two voxels of the wall count ten times."""
    wall = (item["label"].as_tensor() == 2).float()
    return 1 + 9 * torch.nn.functional.max_pool3d(wall[None], 5, stride=1, padding=2)[0]


tables = []
# shown
for item in calibration_items:
    options = {"unit": item["patient"], "unit_name": "patient", "weight": near_the_wall(item)}
    tables.append(case_loss_table(item["score"], item["label"], loss="weighted_fnr", **options))
axes = plot_risk(LossTable.join(tables), alpha=0.1, class_index=1, class_names=CLASS_NAMES)
# to here
axes.figure.savefig("weighted.png", dpi=140)
