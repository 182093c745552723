"""Reading the series of a folder as one volume, in the order of its geometry, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

try:
    import pydicom
    from pydicom.errors import InvalidDicomError
except ModuleNotFoundError as error:
    raise ImportError('DICOM needs pydicom and highdicom: pip install "monai-rwcp[dicom]".') from error

__all__ = ["Series", "read_series"]

# Positions are written as decimal text of at most 16 characters; scanners round them to about a micrometre.
_RELATIVE, _MM = 0.01, 0.01


@dataclass(frozen=True)
class Series:
    """A series of parallel slices, evenly apart.

    Args:
        volume: float32 ``[1, columns, rows, slices]`` with rescale slope and intercept applied (Hounsfield units in
            CT), and its affine in mm, RAS as in NIfTI.
        slices: the data sets, in the order of the volume's last axis.
    """

    volume: MetaTensor
    slices: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The folder that it was read from, or else its UID."""
        return str(self.volume.meta.get("filename_or_obj") or self.slices[0].SeriesInstanceUID)


def read_series(folder: str | Path) -> Series:
    r"""Read the one series of a folder.

    Slices are sorted along the normal of their planes, :math:`d = p \cdot (r \times c)`, for the position :math:`p` and
    the directions of rows and columns :math:`r, c`; file names and instance numbers are not looked at.

    Args:
        folder: a folder whose files are all of one series; files that are not DICOM are passed over, except when there
            is nothing else.

    Returns:
        the series.

    Raises:
        FileNotFoundError: when there is no such folder, or no DICOM image in it.
        ValueError: when there are several series, frames in one file, colours, planes of different directions or sizes,
            two slices at one place, slices missing, or slices that are shifted against each other (a tilted gantry); or
            when a file is damaged. The message names what was found.

    Source: DICOM PS3.3, sections C.7.6.2 (image plane) and C.11.1 (rescale).
    """
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder '{path}'.")
    found = [dataset for file in sorted(path.iterdir()) if (dataset := _dataset(file)) is not None]
    if not found:
        raise FileNotFoundError(f"No DICOM image in '{path}'. Name the folder that holds the files of one series.")
    _check_alike(found, path)
    rows, columns = (np.array(found[0].ImageOrientationPatient, dtype=float)[part] for part in (slice(3), slice(3, 6)))
    normal = np.cross(rows, columns)
    found.sort(key=lambda dataset: float(np.dot(_position(dataset), normal)))
    step = _step([_position(dataset) for dataset in found], normal, found[0], path)
    down, across = (float(size) for size in found[0].PixelSpacing)
    affine = np.eye(4)
    # The first axis runs along a row, from column to column, as in NIfTI.
    affine[:3] = np.stack([rows * across, columns * down, step, _position(found[0])], axis=1)
    # DICOM's axes point left and to the back, NIfTI's right and to the front.
    affine[:2] *= -1
    try:
        stack = [
            dataset.pixel_array.T.astype(np.float32) * float(dataset.get("RescaleSlope", 1))
            + float(dataset.get("RescaleIntercept", 0))
            for dataset in found
        ]
    except (ValueError, AttributeError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"The pixels of a slice in '{path}' cannot be read: {error}") from error
    values = torch.from_numpy(np.stack(stack, axis=-1).astype(np.float32))[None]
    meta = {"filename_or_obj": str(path), "original_affine": affine, "spatial_shape": np.array(values.shape[1:])}
    return Series(MetaTensor(values, affine=torch.from_numpy(affine), meta=meta), tuple(found))


def _dataset(file: Path) -> Any:
    if not file.is_file() or file.name.upper() == "DICOMDIR":
        return None
    try:
        dataset = pydicom.dcmread(file)
    except InvalidDicomError as error:
        if file.suffix.lower() == ".dcm" or not file.stat().st_size:
            raise ValueError(f"'{file}' cannot be read; it may be truncated: {error}") from error
        return None
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"'{file}' cannot be read; it may be truncated: {error}") from error
    if "PixelData" not in dataset:
        # Passed over, a slice that is cut off at either end of the stack would never be missed.
        raise ValueError(
            f"'{file}' is a DICOM file without pixels: truncated, or something else than an image. Take it out of the "
            "folder, or fetch it again."
        )
    return dataset


def _check_alike(found: list[Any], path: Path) -> None:
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        lacking = sum(name not in dataset for dataset in found)
        if lacking:
            raise ValueError(
                f"{lacking} of {len(found)} images in '{path}' have no {name}: they are no slices in space."
            )
    if any(int(dataset.get("NumberOfFrames", 1)) != 1 or int(dataset.SamplesPerPixel) != 1 for dataset in found):
        raise ValueError(f"'{path}' holds images of several frames or colours; one grey slice a file can be read.")
    series = sorted({str(dataset.SeriesInstanceUID) for dataset in found})
    if len(series) > 1:
        raise ValueError(
            f"'{path}' holds {len(series)} series, and nobody said which is meant: {', '.join(series[:5])}. Give each "
            "a folder of its own."
        )
    for name in ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient"):
        values = np.array([np.atleast_1d(np.array(dataset[name].value, dtype=float)) for dataset in found])
        if np.abs(values - values[0]).max() > 1e-4:
            raise ValueError(
                f"The slices in '{path}' differ in {name} ({values.min(axis=0)} to {values.max(axis=0)}): they are no "
                "parallel stack (a localiser among them?)."
            )


def _position(dataset: Any) -> np.ndarray:
    return np.array(dataset.ImagePositionPatient, dtype=float)


def _step(positions: list[np.ndarray], normal: np.ndarray, first: Any, path: Path) -> np.ndarray:
    """From one slice to the next; of a single slice its thickness along the normal."""
    if len(positions) == 1:
        thickness = float(first.get("SliceThickness") or 1.0)
        return normal * thickness
    steps = np.diff(np.array(positions), axis=0)
    apart = steps @ normal
    usual = float(np.median(apart))
    slack = max(_MM, _RELATIVE * usual)
    if apart.min() <= _MM:
        number = int(apart.argmin())
        raise ValueError(
            f"Slices {number} and {number + 1} in '{path}' lie at one place, {positions[number]}: two phases, echoes "
            "or copies in one series. Separate them."
        )
    if np.abs(apart - usual).max() > slack:
        number = int(np.abs(apart - usual).argmax())
        raise ValueError(
            f"The slices in '{path}' are not evenly apart: {apart[number]:.3f} mm after slice {number}, {usual:.3f} mm "
            "usually. Slices are missing, or of another part of the body."
        )
    sideways = np.linalg.norm(steps - np.outer(apart, normal), axis=1).max()
    if sideways > slack:
        raise ValueError(
            f"The slices in '{path}' are shifted against each other by {sideways:.3f} mm a step (a tilted gantry): "
            "resample them to a straight stack first."
        )
    return np.asarray((positions[-1] - positions[0]) / (len(positions) - 1))
