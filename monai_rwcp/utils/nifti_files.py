"""Reading a NIfTI file whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.utils.lengths import MM_PER_UNIT
from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.unpacking import read_unpacked, unreadable

with needed("NIfTI files need", "demo", "nibabel"):
    import nibabel

__all__ = ["read_nifti"]


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray, str, bool, str]:
    """Read a NIfTI file to its end.

    Returns:
        the values in the file's own axes (float32, or what is no real number); the affine from voxels to mm; the unit
        of length of the header; whether the fifth axis holds the parts of a vector; what the header says of the
        program that wrote it.

    Raises:
        OSError: when it cannot be opened; the message names it.
        ValueError: when it is damaged, something else, or of a unit of length that there is not; the message names it.
    """
    content = read_unpacked(path)
    try:
        image = _image(content)
        real = image.dataobj.dtype.kind in "fiub"
        values = np.asarray(image.dataobj, dtype=np.float32 if real else None)
        affine, unit = np.array(image.affine, dtype=float), int(image.header["xyzt_units"]) & 7
        written_by = bytes(image.header["descrip"].item()).decode("latin-1").strip()
    except Exception as error:  # whatever a damaged header can cause
        raise unreadable(path, error) from error
    if unit not in MM_PER_UNIT:
        raise ValueError(
            f"The header of '{path}' tells lengths in a unit of the number {unit}, which NIfTI does not have. Set its "
            "xyzt_units to 2 (mm), 3 (micron) or 1 (metre), whichever is right."
        )
    affine[:3] *= MM_PER_UNIT[unit]
    is_vector = bool(values.ndim == 5 and values.shape[3] == 1)
    return values, affine, str(nibabel.nifti1.unit_codes.label[unit]), is_vector, written_by


def _image(content: bytes) -> Any:
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        if kind.header_class.may_contain_header(content[: kind.header_class.sizeof_hdr]):
            image = kind.from_bytes(content)
            break
    else:
        raise ValueError("it does not begin as a NIfTI file does")
    proxy: Any = image.dataobj
    # Before room for them is made.
    due = proxy.offset + math.prod(image.shape) * proxy.dtype.itemsize
    if min(image.shape, default=0) < 1 or len(content) < due:
        raise ValueError(f"its header tells of the shape {image.shape} and {due} bytes, but there are {len(content)}")
    return image
