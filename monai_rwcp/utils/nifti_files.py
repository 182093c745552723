"""Reading a NIfTI file whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel

from monai_rwcp.utils.unpacking import read_unpacked, unreadable

__all__ = ["read_nifti"]


def read_nifti(path: Path) -> Any:
    """Read a NIfTI file to its end.

    Returns:
        the image of nibabel, with all its values in memory.

    Raises:
        OSError: when it is missing or cannot be opened; the message names it.
        ValueError: when it is damaged or something else; the message names it.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no '{path}'.")
    content = read_unpacked(path)
    try:
        return _image(content)
    except Exception as error:  # whatever a damaged header can cause
        raise unreadable(path, error) from error


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
