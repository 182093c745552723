"""A calibration as a notebook shows it."""

from pathlib import Path

from docs.gallery.patients import CLASS_NAMES, table
from monai_rwcp import Calibration, calibrate


def display(calibration: Calibration) -> None:
    """Notebooks show an object by this form of it."""
    Path("calibration.html").write_text(calibration._repr_html_(), encoding="utf-8")


# shown
calibration = calibrate(table, alpha=0.1, class_names=CLASS_NAMES)
display(calibration)
