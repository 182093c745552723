"""The DICOM images among the files of a folder, each read whole."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.unpacking import unreadable

with needed("DICOM needs", "dicom", "pydicom", "highdicom"):
    import pydicom
    from pydicom.errors import InvalidDicomError

__all__ = ["image_in", "images_of"]


def images_of(folder: Path) -> list[Any]:
    """Read the images of a folder, by the names of their files.

    What lies beside them and is no DICOM file is named in a warning: a slice without its first bytes looks like that.

    Raises:
        FileNotFoundError: when there is no such folder, or no image in it.
        ValueError: when a file is damaged, or a DICOM file without pixels.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder '{folder}'.")
    found, others = [], []
    for file in sorted(folder.iterdir()):
        dataset = image_in(file)
        if dataset is not None:
            found.append(dataset)
        elif file.name.upper() != "DICOMDIR":
            others.append(file.name)
    if not found:
        raise FileNotFoundError(f"No DICOM image in '{folder}'. Name the folder that holds the files of one series.")
    if others:
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        warnings.warn(
            f"{len(others)} of {len(found) + len(others)} entries of '{folder}' are no DICOM files and were passed "
            f"over: {shown}. Is none of them a slice?",
            stacklevel=3,
        )
    return found


def image_in(file: Path) -> Any:
    """Read an image; None where the file is no DICOM file, or only lists others.

    Raises:
        ValueError: when it is damaged, or a DICOM file without pixels.
    """
    if not file.is_file() or file.name.upper() == "DICOMDIR":
        return None
    try:
        dataset = pydicom.dcmread(file)
        pixels = dataset.get("PixelData")
    except InvalidDicomError as error:
        if file.suffix.lower() == ".dcm" or not file.stat().st_size:
            raise ValueError(
                f"'{file}' cannot be read; it may be truncated, or something else by another name: it does not begin "
                "as DICOM files do."
            ) from error
        return None
    except Exception as error:  # whatever a damaged file can cause in pydicom
        raise unreadable(file, error) from error
    if not isinstance(pixels, bytes) or not pixels:
        # Passed over, a slice that is cut off at either end of the stack would never be missed.
        raise ValueError(
            f"'{file}' is a DICOM file without pixels: truncated, or something else than an image. Take it out of the "
            "folder, or fetch it again."
        )
    return dataset
