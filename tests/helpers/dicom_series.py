"""A made-up CT series, and what was written for it read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="DICOM needs the extra dicom")

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from monai_rwcp.dicom import Series

SHAPE = (14, 10, 6)
"""Columns, rows, slices."""

Change = Callable[[list[FileDataset]], object]


def hounsfield() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.float32)


def turned(degrees: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions of rows, columns and slices."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    row, column = np.array([1.0, 0, 0]), np.array([0, c, s])
    return row, column, np.cross(row, column)


def write_series(
    folder: Path, degrees: float = 0.0, change: Change | None = None, *, in_order: bool = False
) -> list[FileDataset]:
    """Slices whose names, and instance numbers unless in order, say nothing about their place; rows 0.8, columns 0.6, slices 2.5 mm."""
    folder.mkdir(parents=True)
    row, column, normal = turned(degrees)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    slices = []
    for z in range(SHAPE[2]):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = CTImageStorage, ExplicitVRLittleEndian
        meta.MediaStorageSOPInstanceUID = generate_uid()
        d = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        d.SOPClassUID, d.SOPInstanceUID, d.Modality = CTImageStorage, meta.MediaStorageSOPInstanceUID, "CT"
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
        d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "Phantom^Anna", "anna", "19700101", "F"
        d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber = "20260101", "120000", "1", "1"
        d.ReferringPhysicianName, d.PositionReferenceIndicator, d.Manufacturer = "", "", "none"
        d.SeriesNumber, d.InstanceNumber, d.ImageType = (
            1,
            z + 1 if in_order else (5 * z) % 7 + 1,
            ["ORIGINAL", "PRIMARY", "AXIAL"],
        )
        d.ImageOrientationPatient = [round(float(x), 9) for x in (*row, *column)]
        d.ImagePositionPatient = [round(float(x), 6) for x in np.array([-30.0, -20, 11]) + 2.5 * z * normal]
        d.PixelSpacing, d.SliceThickness = [0.8, 0.6], 2.5
        d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = SHAPE[1], SHAPE[0], 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
        d.RescaleSlope, d.RescaleIntercept = 2, -1024
        d.PixelData = np.rint((hounsfield()[..., z].T + 1024) / 2).astype(np.uint16).tobytes()
        slices.append(d)
    if change is not None:
        change(slices)
    for number, d in enumerate(slices):
        d.save_as(folder / f"{(number * 5) % 7:03d}.dcm", enforce_file_format=True)
    return slices


def read_back(path: Path, series: Series) -> dict[str, np.ndarray]:
    """Segments on the grid of the series, by nothing but the positions that the frames have."""
    seg = pydicom.dcmread(path)
    labels = {int(s.SegmentNumber): str(s.SegmentLabel) for s in seg.SegmentSequence}
    found = {label: np.zeros(SHAPE, dtype=np.float32) for label in labels.values()}
    to_index = np.linalg.inv(series.volume.affine.numpy())
    frames = seg.pixel_array.reshape(-1, SHAPE[1], SHAPE[0])
    for frame, groups in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        # What all frames have in common stands beside them once.
        at = groups if "SegmentIdentificationSequence" in groups else seg.SharedFunctionalGroupsSequence[0]
        number = int(at.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float) * [-1, -1, 1]
        i, j, k = (to_index @ [*place, 1])[:3]
        np.testing.assert_allclose([i, j, k - round(k)], 0, atol=1e-3)
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == series.slices[round(k)].SOPInstanceUID
        found[labels[number]][..., round(k)] = frame.T
    if seg.SegmentationType == "FRACTIONAL":
        found = {label: values / float(seg.MaximumFractionalValue) for label, values in found.items()}
    return found
