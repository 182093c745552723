"""Probability maps that another program left in a folder: calibrated, turned into sets, evaluated."""

from __future__ import annotations

from monai_rwcp.folders.maps import MapForm, read_grid_file, read_map
from monai_rwcp.folders.match import FolderCase, match_folders, read_units
from monai_rwcp.folders.runs import ScoreChoice, calibrate_folder, evaluate_folder, predict_folder

__all__ = [
    "FolderCase",
    "MapForm",
    "ScoreChoice",
    "calibrate_folder",
    "evaluate_folder",
    "match_folders",
    "predict_folder",
    "read_grid_file",
    "read_map",
    "read_units",
]
