"""Names of patients, images and groups: a missing one is refused, and what is alike is one name."""

from __future__ import annotations

import math
import re
import unicodedata
from numbers import Integral
from typing import Any

__all__ = ["UNNAMED", "name_as_text", "optional_name"]

UNNAMED = ("image", "case")
"""What a unit is called where nobody named the units, so that every image or file counts by itself."""

_OF_MISSING = ("nan", "NaN", "None", "NaT", "<NA>")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")


def name_as_text(value: object, what: str) -> str:
    """Give a name as text, the same for all forms in which tables and tensors hold it.

    ``3``, ``3.0``, ``"3"``, ``" 3 "`` and a tensor of 3 are one name, and so are composed and decomposed letters.
    Leading zeros stay: ``"003"`` is another.

    Args:
        value: text, or a whole number, which may lie in an array or tensor without axes.
        what: what it is, for the message.

    Raises:
        ValueError: when it is missing (None, nan, empty text, or ``"nan"``, which tables make of it), or no name.

    Example:
        >>> name_as_text(3.0, "'patient' of case 0"), name_as_text(" anna ", "'patient' of case 1")
        ('3', 'anna')
    """
    found: Any = value
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        found = value.item()
    if isinstance(found, str):
        text = unicodedata.normalize("NFC", found.strip())
        if text and text not in _OF_MISSING:
            whole = _WHOLE.fullmatch(text)
            return text if whole is None else whole[1]
    elif isinstance(found, Integral) and not isinstance(found, bool):
        return str(int(found))
    elif isinstance(found, float) and found.is_integer():
        # Beyond, neighbouring numbers are one: two patients would be.
        if abs(found) < _exact_below(value):
            return str(int(found))
        raise ValueError(f"Expected {what} to be a name, but {value!r} has lost its last digits. Give it as text.")
    missing = found is None or isinstance(found, str) or (isinstance(found, float) and not math.isfinite(found))
    raise ValueError(
        f"Expected {what} to be a name (a string or a whole number), but got {value!r}."
        + (" A name that is missing cannot be told from others: fill it in." if missing else "")
    )


def optional_name(value: object, what: str) -> str | None:
    """Give a name as text, None where there is to be none; see :py:func:`name_as_text`."""
    return None if value is None else name_as_text(value, what)


def _exact_below(value: object) -> float:
    """Below which number every whole one has a form of its own."""
    kind = str(getattr(value, "dtype", "")).removeprefix("torch.")
    return float(2 ** {"float16": 11, "bfloat16": 8, "float32": 24}.get(kind, 53))
