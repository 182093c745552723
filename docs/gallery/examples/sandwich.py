"""Inner and outer set."""

from docs.gallery.patients import calibration, calibration_items, patient, table_of
from monai_rwcp import calibrate
from monai_rwcp.conformal import conformal_sandwich
from monai_rwcp.report import plot_prediction_set

image, score, truth, spacing = patient["image"], patient["score"], patient["label"] == 1, patient["spacing"]
# shown
inner = calibrate(table_of(calibration_items, loss="inner"), alpha=0.1)
sets = conformal_sandwich(score, inner=inner, outer=calibration)
axes = plot_prediction_set(image, sets.outer[1], truth, inner=sets.inner[1], spacing=spacing)
# to here
axes.figure.savefig("sandwich.png", dpi=140)
