"""What was observed beside what was promised."""

from docs.gallery.patients import calibration, new_items
from monai_rwcp.conformal import prediction_set
from monai_rwcp.metrics import ImageFigures, class_figures, prediction_set_metrics
from monai_rwcp.report import plot_observed

measured: dict[int, list[ImageFigures]] = {c: [] for c in calibration.classes}
for item in new_items:
    sets = prediction_set(item["score"].as_tensor(), calibration)
    for c, images in measured.items():
        images.append(ImageFigures(prediction_set_metrics(sets[c], item["label"][0] == c), item["patient"]))
# shown
figures = {c: class_figures(images, alpha=0.1) for c, images in measured.items()}
axes = plot_observed(calibration, figures)
# to here
axes.figure.savefig("observed.png", dpi=140)
