"""DICOM: image series in, segmentation objects with prediction sets and scores out (extra "dicom")."""

from __future__ import annotations

from monai_rwcp.dicom.segmentation import Anatomy, Segment, write_scores, write_sets
from monai_rwcp.dicom.series import Series, read_series

__all__ = ["Anatomy", "Segment", "Series", "read_series", "write_scores", "write_sets"]
