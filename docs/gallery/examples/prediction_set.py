"""A prediction set over one slice."""

from docs.gallery.patients import calibration, patient
from monai_rwcp.conformal import prediction_set
from monai_rwcp.report import plot_prediction_set

image, score, label, spacing = (patient[key] for key in ("image", "score", "label", "spacing"))
# shown
sets = prediction_set(score, calibration)
axes = plot_prediction_set(image, sets[1], label == 1, spacing=spacing)
# to here
axes.figure.savefig("prediction_set.png", dpi=140)
