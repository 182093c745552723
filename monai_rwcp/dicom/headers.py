"""Numbers and text in the header of one DICOM file: there and of a sensible size, or refused with the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["file_of", "has_value", "number", "numbers", "shown", "text", "value", "whole_number"]

# In mm or in stored units; what lies beyond is no place in a body, and its squares are no numbers any more.
_ABSURD = 1e7


def file_of(dataset: Any) -> str:
    """Name of the file that a data set was read from, for messages."""
    name = getattr(dataset, "filename", None)
    return str(Path(str(name))) if name else "a slice without a file"


def value(dataset: Any, keyword: str) -> Any:
    """Give an attribute as pydicom reads it; None where it is missing or empty.

    Raises:
        ValueError: when it cannot be read.
    """
    try:
        found = dataset.get(keyword)
        # Text may lie in several values, of which none is filled.
        return None if found is None or (hasattr(found, "__len__") and len(found) == 0) else found
    except Exception as error:  # whatever a damaged element can cause in pydicom
        raise ValueError(f"{keyword} of '{file_of(dataset)}' cannot be read: {shown(error, 300)}") from error


def has_value(dataset: Any, keyword: str) -> bool:
    """Whether an attribute is there and not empty.

    Raises:
        ValueError: when it cannot be read.
    """
    return value(dataset, keyword) is not None


def numbers(dataset: Any, keyword: str, n: int) -> np.ndarray:
    """Give an attribute of n numbers.

    Raises:
        ValueError: when it is missing or empty, has another number of values, or one is no number of a sensible size.
    """
    found = value(dataset, keyword)
    several = found is not None and not isinstance(found, (str, bytes)) and hasattr(found, "__iter__")
    try:
        parsed = np.array(list(found) if several else [found], dtype=float)
    except (TypeError, ValueError):
        parsed = np.array([])
    if parsed.shape != (n,) or not np.isfinite(parsed).all() or np.abs(parsed).max() > _ABSURD:
        wanted = "a number" if n == 1 else f"{n} numbers"
        raise ValueError(
            f"Expected {keyword} of '{file_of(dataset)}' to be {wanted} of a sensible size, but got "
            f"{shown(found)}. Its header is damaged: fetch the file again."
        )
    return parsed


def number(dataset: Any, keyword: str) -> float:
    """Give an attribute of one number, see :py:func:`numbers`."""
    return float(numbers(dataset, keyword, 1)[0])


def whole_number(dataset: Any, keyword: str) -> int:
    """Give an attribute of one whole number from 0 on.

    Raises:
        ValueError: when it is something else.
    """
    found = number(dataset, keyword)
    if found < 0 or not found.is_integer():
        raise ValueError(
            f"Expected {keyword} of '{file_of(dataset)}' to be a whole number from 0 on, but got {found:g}. Its header "
            "is damaged: fetch the file again."
        )
    return int(found)


def text(dataset: Any, keyword: str) -> str:
    """Give an attribute as text without spaces around it, empty where it is missing.

    Raises:
        ValueError: when it cannot be read.
    """
    found = value(dataset, keyword)
    return "" if found is None else str(found).strip()


def shown(found: object, most: int = 100) -> str:
    r"""Give what a file holds as one line of a message, without what would steer a terminal.

    Example:
        >>> shown("1.2\n3\x1b[31m"), shown(None)
        ('1.2 3?[31m', 'none')
    """
    line = " ".join(str(found).split()) if found is not None else ""
    return "".join(letter if letter.isprintable() else "?" for letter in line)[:most] or "none"
