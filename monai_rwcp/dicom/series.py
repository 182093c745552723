"""Reading the series of a folder as one volume, in the order of its geometry, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_rwcp.dicom.files import image_in, images_of
from monai_rwcp.dicom.headers import has_value, numbers
from monai_rwcp.dicom.one_series import check_grey_slice, check_one_series
from monai_rwcp.dicom.pixels import check_one_scale, values_of
from monai_rwcp.dicom.stack import stacked

__all__ = ["Series", "read_series", "read_slice"]


@dataclass(frozen=True)
class Series:
    """A series of parallel slices, evenly apart.

    Args:
        volume: float32 ``[1, columns, rows, slices]`` with the rescale or Modality LUT of each slice applied
            (Hounsfield units in CT), and its affine in mm, RAS as in NIfTI.
        slices: the data sets, in the order of the volume's last axis.
    """

    volume: MetaTensor
    slices: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The folder that it was read from, or else its UID."""
        return str(self.volume.meta.get("filename_or_obj") or self.slices[0].SeriesInstanceUID)


def read_series(folder: str | Path) -> Series:
    """Read the one series of a folder.

    Slices are sorted by their places; file names and instance numbers are not looked at.

    Args:
        folder: a folder whose files are all of one series; files that are not DICOM are passed over with a warning,
            except when there is nothing else.

    Returns:
        the series.

    Raises:
        FileNotFoundError: when there is no such folder, or no DICOM image in it.
        ValueError: when there are several series or patients, frames in one file, colours, palettes, planes of
            different directions or sizes, two slices at one place, slices missing, or slices that are shifted against
            each other (a tilted gantry); when slices do not share one scale; or when a file is damaged. The message
            names what was found.

    Source: DICOM PS3.3, sections C.7.6.2 (image plane) and C.11.1 (modality LUT).
    """
    path = Path(folder)
    found = images_of(path)
    check_one_series(found, path)
    check_one_scale(found, path)
    ordered, affine = stacked(found, path)
    values = torch.from_numpy(np.stack([values_of(dataset).T for dataset in ordered], axis=-1))[None]
    meta = {"filename_or_obj": str(path), "original_affine": affine, "spatial_shape": np.array(values.shape[1:])}
    return Series(MetaTensor(values, affine=torch.from_numpy(affine), meta=meta), tuple(ordered))


def read_slice(file: str | Path) -> MetaTensor:
    """Read the values of one DICOM image, wherever it lies in space.

    Returns:
        float32 ``[1, columns, rows]``, as those of `read_series`; its affine knows sizes in mm where the file tells.

    Raises:
        OSError: when it cannot be opened.
        ValueError: when it is no DICOM image, or as :py:func:`read_series`.
    """
    path = Path(file)
    dataset = image_in(path)
    if dataset is None:
        raise ValueError(f"'{path}' is no DICOM image.")
    check_grey_slice(dataset, path)
    check_one_scale([dataset], path)
    affine = np.eye(4)
    if has_value(dataset, "PixelSpacing"):
        affine[[1, 0], [1, 0]] = numbers(dataset, "PixelSpacing", 2)
    values = torch.from_numpy(np.ascontiguousarray(values_of(dataset).T))[None]
    return MetaTensor(values, affine=torch.from_numpy(affine), meta={"filename_or_obj": str(path)})
