"""Reading an NRRD or MHA file whole, by SimpleITK, whose streams are unpacked to their end first."""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.unpacking import unreadable

__all__ = ["is_itk_file", "read_itk"]

_READERS = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}
_LENGTHS = {"mm", "millimeter", "millimeters", "?", ""}


def is_itk_file(path: Path) -> bool:
    """Whether a file is one of ITK's by its ending, in small letters or in capitals.

    Example:
        >>> is_itk_file(Path("anna.NRRD")), is_itk_file(Path("anna.nii.gz"))
        (True, False)
    """
    return path.suffix.lower() in _READERS


def read_itk(path: Path) -> tuple[np.ndarray, np.ndarray, str, bool]:
    """Read an NRRD or MHA file to its end.

    SimpleITK takes damaged and short streams for other values; so they are unpacked here once more, and compared.

    Returns:
        the values ``[x, y(, z)(, C)]`` in the file's type; the affine from voxels to mm, RAS; ``"mm"``; whether each
        voxel holds several values.

    Raises:
        OSError: when it cannot be opened; the message names it.
        ValueError: when it is damaged, something else, in parts, or in another unit than mm; the message names it.
        ImportError: when SimpleITK is missing.
    """
    with needed(f"Reading '{path}' needs", "simpleitk", "SimpleITK", otherwise=", or convert the files to NIfTI"):
        import SimpleITK
    unpack = (_nrrd if path.suffix.lower() == ".nrrd" else _mha)(path.read_bytes(), path)
    try:
        content = None if unpack is None else np.frombuffer(unpack(), dtype=np.uint8)
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO(_READERS[path.suffix.lower()])
        image: Any = reader.Execute()
        values = SimpleITK.GetArrayFromImage(image)
        if content is not None:
            _check_values(values, content)
    except (zlib.error, EOFError, OSError, MemoryError, RuntimeError, ValueError) as error:
        raise unreadable(path, error) from error
    is_vector = image.GetNumberOfComponentsPerPixel() > 1
    values = np.moveaxis(values.T, 0, -1) if is_vector else values.T
    if is_vector and image.GetDimension() == 2:
        values = values[:, :, None]
    return values, _affine(image, path), "mm", is_vector


def _check_values(values: np.ndarray, content: np.ndarray) -> None:
    """Refuse values that are not those that the file holds, in whichever order of bytes and axes."""
    if content.size != values.nbytes:
        raise ValueError(f"its header tells of {values.nbytes} bytes, but there are {content.size}")
    read = (of.reshape(-1).view(np.uint8) for of in (values, values.byteswap()))
    if not any(np.array_equal(of, content) for of in read):
        # The parts of a vector, which NRRD may keep behind the axes of space.
        parts = np.moveaxis(values, -1, 0).reshape(-1)
        if not any(np.array_equal(of.view(np.uint8), content) for of in (parts, parts.byteswap())):
            raise ValueError("SimpleITK reads other values than there are: its header is damaged")


def _affine(image: Any, path: Path) -> np.ndarray:
    axes = image.GetDimension()
    directions = np.array(image.GetDirection(), dtype=float).reshape(axes, axes) * np.array(image.GetSpacing())
    kept = min(axes, 3)
    if np.abs(directions[kept:, :kept]).max(initial=0) > 0 or np.abs(directions[:kept, kept:]).max(initial=0) > 0:
        raise ValueError(f"The axes of space in '{path}' run into a further one: {directions.tolist()}.")
    affine = np.eye(4)
    affine[:kept, :kept] = directions[:kept, :kept]
    affine[:kept, 3] = image.GetOrigin()[:kept]
    # ITK's axes point left and to the back, NIfTI's right and to the front.
    affine[:2] *= -1
    return affine


def _check_mm(units: list[str], path: Path) -> None:
    if not set(units) <= _LENGTHS:
        raise ValueError(f"Expected lengths in mm in '{path}', but its header tells them in {', '.join(units)}.")


def _nrrd(content: bytes, path: Path) -> Callable[[], bytes] | None:
    parts = re.split(rb"\r?\n\r?\n", content, maxsplit=1)
    fields = dict(re.findall(r"^([A-Za-z ]+): *(.*?)\r?$", parts[0].decode("utf-8", "replace"), re.MULTILINE))
    if {"data file", "datafile"} & set(fields):
        raise ValueError(f"The values of '{path}' lie in another file. Save both as one.")
    _check_mm(re.findall(r'"(.*?)"', fields.get("space units", "")), path)
    packed = parts[1] if len(parts) == 2 else b""
    encoding = fields.get("encoding", "").lower()
    unpackers: dict[str, Callable[[bytes], bytes]] = {"raw": bytes, "bz2": bz2.decompress, "bzip2": bz2.decompress}
    unpackers |= {"gz": gzip.decompress, "gzip": gzip.decompress}
    return partial(unpackers[encoding], packed) if encoding in unpackers else None


def _mha(content: bytes, path: Path) -> Callable[[], bytes] | None:
    parts = re.split(rb"^ElementDataFile[ \t]*=[ \t]*LOCAL[ \t]*\r?\n", content, maxsplit=1, flags=re.MULTILINE)
    if len(parts) != 2:
        raise ValueError(
            f"The values of '{path}' do not follow its header. It is damaged, or they lie in another file: save both "
            "as one."
        )
    head, packed = parts[0].decode("utf-8", "replace"), parts[1]
    fields = dict(re.findall(r"^(\w+) *= *(.*?) *\r?$", head, re.MULTILINE))
    _check_mm([fields.get("DistanceUnits", "mm")], path)
    return partial(zlib.decompress if fields.get("CompressedData", "False").lower() == "true" else bytes, packed)
