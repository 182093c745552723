"""A calibration as a notebook shows it."""

from pathlib import Path

from docs.gallery.patients import CLASS_NAMES, table
from monai_rwcp import calibrate

# shown
calibration = calibrate(table, alpha=0.1, class_names=CLASS_NAMES)
calibration  # noqa: B018
# to here
Path("calibration.html").write_text(calibration._repr_html_(), encoding="utf-8")
