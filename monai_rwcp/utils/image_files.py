"""The one reader of image files: NIfTI, NRRD and MHA, with lengths in mm and channels last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from monai_rwcp.utils.itk_files import is_itk_file, read_itk
from monai_rwcp.utils.nifti_files import read_nifti
from monai_rwcp.utils.unpacking import unreadable

__all__ = ["StoredImage", "read_image_file"]


@dataclass(frozen=True)
class StoredImage:
    """What a file holds.

    Args:
        values: float32 ``[x, y]``, ``[x, y, z]`` or ``[x, y, z, C]``.
        affine: from voxels to mm, RAS as in NIfTI, float64 ``[4, 4]``.
        unit: of length in the file's header, as nibabel calls it: ``"mm"``, ``"micron"``, ``"meter"``, ``"unknown"``.
        is_vector: whether the file says itself that the last axis holds the parts of one value.
        written_by: what the header says of the program that wrote it; empty where it says nothing.
    """

    values: np.ndarray
    affine: np.ndarray
    unit: str = "mm"
    is_vector: bool = False
    written_by: str = ""


def read_image_file(path: Path) -> StoredImage:
    """Read an image file to its end.

    Raises:
        OSError: when it is missing or cannot be opened; the message names it.
        ValueError: when it is damaged, something else, or its header does not tell where its voxels lie in mm; the
            message names it.
        ImportError: when it needs SimpleITK, and that is missing.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no '{path}'.")
    read = StoredImage(*(read_itk(path) if is_itk_file(path) else read_nifti(path)))
    if not np.isfinite(read.affine).all() or np.linalg.det(read.affine) == 0:
        raise ValueError(
            f"The header of '{path}' does not tell where its voxels lie: {np.round(read.affine, 4).tolist()}. It is "
            "damaged, or was never filled in. Copy the header of the image to it."
        )
    if read.values.dtype.kind not in "fiub":
        raise ValueError(f"Expected real numbers in '{path}', but it holds {read.values.dtype}.")
    try:
        return replace(read, values=_without_time(np.asarray(read.values, dtype=np.float32), path))
    except MemoryError as error:
        raise unreadable(path, error) from error


def _without_time(values: np.ndarray, path: Path) -> np.ndarray:
    while values.ndim > 4 and values.shape[-1] == 1:
        values = values[..., 0]
    # The fourth axis of NIfTI is time, the fifth holds the parts of a vector, as ITK writes them.
    if values.ndim == 5 and values.shape[3] == 1:
        values = values[:, :, :, 0]
    if values.ndim not in (2, 3, 4):
        raise ValueError(
            f"Expected [x, y, z], [x, y, z, C] or a vector image [x, y, z, 1, C] in '{path}', but its shape is "
            f"{values.shape}. Points in time belong into files of their own."
        )
    return values
