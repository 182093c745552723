"""A promise that weights move to a population that has shifted."""

import numpy as np

from docs.gallery.drawing import FIRST, new_figure
from docs.gallery.patients import calibration_items, new_items, table, tuning_items
from monai_rwcp import calibrate
from monai_rwcp.conformal import fit_density_ratio


def seen(item):
    """One feature of a patient: how much organ the network sees, in ml."""
    return [float(item["pred"][1].sum() * item["pred"].pixdim.prod()) / 1000]


source = np.array([seen(item) for item in tuning_items])
# There, patients of small organs are more frequent.
there = sorted(new_items, key=seen)
target = np.array([seen(item) for item in there[:60] + there[:30]])
features = {item["patient"]: seen(item) for item in calibration_items + new_items}
# shown
ratio = fit_density_ratio(source, target)
weights = {patient: ratio.weight(features[patient]) for patient in table.units}
calibration = calibrate(table, alpha=0.1, weights=weights)
new = [ratio.weight(features[item["patient"]]) for item in new_items]
thresholds = [calibration.thresholds_for(weight=weight)[1] for weight in new]
# to here
figure = new_figure()
axes = figure.subplots()
axes.scatter([features[item["patient"]][0] for item in new_items], thresholds, s=14, color=FIRST, label="weighted")
axes.axhline(calibrate(table, alpha=0.1).threshold[1], color="black", linestyle="dashed", label="unweighted")
axes.set(xlabel="organ that the network sees in a new patient, in ml", ylabel="threshold of the score")
axes.set_ylim(bottom=0)
axes.legend()
figure.savefig("shift.png", dpi=140)
