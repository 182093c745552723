"""A promise in millimetres."""

from docs.gallery.patients import CLASS_NAMES, calibration_items, patient, table_of
from monai_rwcp import calibrate
from monai_rwcp.conformal import SurfaceFalseNegativeRate, prediction_set
from monai_rwcp.report import plot_prediction_set

image, score, truth, spacing = patient["image"], patient["score"], patient["label"] == 1, patient["spacing"]
# shown
table = table_of(calibration_items, loss=SurfaceFalseNegativeRate(3.0))
calibration = calibrate(table, alpha=0.1, class_names=CLASS_NAMES)
axes = plot_prediction_set(image, prediction_set(score, calibration)[1], truth, spacing=spacing)
# to here
axes.figure.savefig("surface.png", dpi=140)
