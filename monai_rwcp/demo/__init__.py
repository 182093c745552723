"""The demo: phantom patients, a small network, and prediction sets with and without the walk."""

from __future__ import annotations

from monai_rwcp.demo.datalist import write_datalist
from monai_rwcp.demo.phantoms import CLASS_NAMES, phantom_patient, write_cohort
from monai_rwcp.demo.training import FEATURE_LAYERS, build_network, image_preprocessing, train_network

__all__ = [
    "CLASS_NAMES",
    "FEATURE_LAYERS",
    "build_network",
    "image_preprocessing",
    "phantom_patient",
    "train_network",
    "write_cohort",
    "write_datalist",
]
