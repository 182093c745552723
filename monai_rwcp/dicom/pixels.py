"""What the stored values of slices mean: bits, rescale and tables."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.dicom.headers import file_of, has_value, number, numbers, shown, text, value, whole_number

__all__ = ["check_one_scale", "values_of"]

_RESCALE = ("RescaleSlope", "RescaleIntercept")


def check_one_scale(found: list[Any], path: Path) -> None:
    """Refuse slices of which some tell what their values mean and others do not, or in another way.

    Args:
        found: the data sets of a series; slopes and intercepts may differ from slice to slice.
        path: the folder, for messages.

    Raises:
        ValueError: when they do not go together; the message names a file.
    """
    scales: dict[str, Any] = {}
    for dataset in found:
        scales.setdefault(_scale(dataset), dataset)
    if len(scales) > 1:
        (one, of_one), (other, of_other) = list(scales.items())[:2]
        raise ValueError(
            f"The slices in '{path}' do not share one scale: '{file_of(of_one)}' has {one}, '{file_of(of_other)}' "
            f"{other}. Some would lie on another scale than the rest: fetch the series again."
        )
    if "no rescale" in scales and text(found[0], "Modality") == "CT":
        warnings.warn(
            f"The CT slices in '{path}' have no rescale: their values are taken as they are stored. Are they in "
            "Hounsfield units?",
            stacklevel=3,
        )


def values_of(dataset: Any) -> np.ndarray:
    """Give the values of one slice, ``[rows, columns]`` float32: stored values through rescale or table.

    Raises:
        ValueError: when they cannot be read; the message names the file.

    Source: DICOM PS3.3, section C.11.1 (modality LUT); PS3.5, section 8.1.1 (stored bits).
    """
    bits, beneath = _bits(dataset)
    _check_length(dataset)
    try:
        stored = _stored(dataset, bits, beneath)
    except ValueError as error:
        why = shown(error, 300)
        raise ValueError(f"The pixels of a slice in '{file_of(dataset)}' cannot be read: {why}") from error
    except Exception as error:  # whatever damaged pixels can cause in any of the decoders
        why = f"{type(error).__name__}: {shown(error, 300)}"
        raise ValueError(f"The pixels of a slice in '{file_of(dataset)}' cannot be read: {why}") from error
    if "ModalityLUTSequence" in dataset:
        found = _through_table(dataset, stored)
    elif _scale(dataset) == "no rescale":
        found = stored
    else:
        slope, intercept = (number(dataset, name) for name in _RESCALE)
        found = stored.astype(np.float64) * slope + intercept
    return found.astype(np.float32)


def _scale(dataset: Any) -> str:
    """What turns stored values into values, in words."""
    there = [name for name in _RESCALE if name in dataset]
    if "ModalityLUTSequence" in dataset:
        if there:
            raise ValueError(
                f"'{file_of(dataset)}' has a ModalityLUTSequence and {there[0]}, of which only one can be right. Take "
                "the wrong one out."
            )
        return "a Modality LUT"
    if not there:
        return "no rescale"
    for name in _RESCALE:
        if not has_value(dataset, name):
            empty = "an empty" if name in dataset else "no"
            raise ValueError(
                f"The rescale of '{file_of(dataset)}' is not whole: it has {empty} {name}. Nobody can tell what its "
                "values mean: fetch the file again."
            )
    if number(dataset, "RescaleSlope") == 0:
        raise ValueError(f"RescaleSlope of '{file_of(dataset)}' is 0: all of its values would be one.")
    number(dataset, "RescaleIntercept")
    return "a rescale"


def _bits(dataset: Any) -> tuple[int, int]:
    """How many bits hold a value, and how many lie beneath them."""
    allocated, stored, sign = (
        whole_number(dataset, name) for name in ("BitsAllocated", "BitsStored", "PixelRepresentation")
    )
    # Where it is missing: the only one that the standard still allows.
    high = whole_number(dataset, "HighBit") if has_value(dataset, "HighBit") else stored - 1
    beneath = high + 1 - stored
    compressed = beneath and _is_compressed(dataset)
    if not 0 < stored <= high + 1 <= allocated or allocated not in (8, 16, 32) or sign > 1 or compressed:
        raise ValueError(
            f"Expected 8, 16 or 32 BitsAllocated of '{file_of(dataset)}', BitsStored that end at HighBit within them, "
            f"and PixelRepresentation 0 or 1, but got {allocated}, {stored}, {high} and {sign}"
            f"{' of compressed pixels' if compressed else ''}. Its header is damaged: fetch the file again."
        )
    return stored, beneath


def _check_length(dataset: Any) -> None:
    """Refuse pixels of which the header leaves out a row or more; where some lack, their reader refuses."""
    if _is_compressed(dataset):
        return
    rows, columns, allocated = (whole_number(dataset, name) for name in ("Rows", "Columns", "BitsAllocated"))
    row = columns * allocated // 8
    if len(dataset.PixelData) >= (rows + 1) * row:
        raise ValueError(
            f"The pixels of a slice in '{file_of(dataset)}' cannot be read: there are {len(dataset.PixelData)} bytes, "
            f"but {rows} rows of {columns} columns are {rows * row}. Its header is damaged: fetch the file again."
        )


def _stored(dataset: Any, bits: int, beneath: int) -> np.ndarray:
    """The stored values, from the bits that the header names."""
    if beneath == 0:
        values = dataset.pixel_array
    else:
        wide = copy.copy(dataset)
        wide.BitsStored = bits + beneath
        values = wide.pixel_array
        if (values & ((1 << beneath) - 1)).any():
            raise ValueError(
                f"{bits} stored bits up to HighBit {bits + beneath - 1} leave the lowest {beneath} bits empty, but they"
                " are not: nobody can tell which bits are the value."
            )
        values = values >> beneath
    if values.shape != (whole_number(dataset, "Rows"), whole_number(dataset, "Columns")):
        raise ValueError(f"they have the shape {values.shape}.")
    return np.asarray(values)


def _is_compressed(dataset: Any) -> bool:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not getattr(syntax, "is_transfer_syntax", False):
        raise ValueError(
            f"Expected the TransferSyntaxUID of '{file_of(dataset)}' to be one that DICOM knows, but got "
            f"{shown(syntax)}. Its header is damaged: fetch the file again."
        )
    return bool(syntax.is_compressed)


def _through_table(dataset: Any, stored: np.ndarray) -> np.ndarray:
    tables = value(dataset, "ModalityLUTSequence")
    name = f"ModalityLUTSequence of '{file_of(dataset)}'"
    try:
        (table,) = tables
        entries, first, bits = (int(part) for part in numbers(table, "LUTDescriptor", 3))
        data = table.LUTData
        if isinstance(data, bytes):
            # Entries of 8 bits may lie two in a word.
            entry = "u1" if bits <= 8 and len(data) <= (entries or 1 << 16) + 1 else "u2"
            data = np.frombuffer(data, dtype=f"{'>' if dataset.original_encoding[1] is False else '<'}{entry}")
        found = np.atleast_1d(np.array(data, dtype=np.int64))
    except Exception as error:  # whatever a damaged table can cause in pydicom
        raise ValueError(f"Expected {name} to be one table, but it cannot be read: {shown(error, 300)}") from error
    entries = entries or 1 << 16
    if not entries <= len(found) <= entries + (bits <= 8) or found.min() < 0 or found.max() >= 1 << bits:
        raise ValueError(
            f"Expected {name} to hold {entries} values of {bits} bits, but it holds {len(found)} from {found.min()} to "
            f"{found.max()}. Its header is damaged."
        )
    if whole_number(dataset, "PixelRepresentation") == 1 and first >= 1 << 15:
        first -= 1 << 16  # written as unsigned, but meant as the stored values are
    return found[np.clip(stored.astype(np.int64) - first, 0, entries - 1)]
