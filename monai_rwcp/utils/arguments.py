"""Checks of arguments: shares such as alpha, weights, and options of a few words."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["ALLOWED_OPTIONS", "check_options", "check_share", "check_weight", "exact"]

ALLOWED_OPTIONS = {
    "unit_loss": ("pooled", "mean"),
    "empty": ("exclude", "zero"),
    "outside": ("include", "exclude"),
    "label_mode": ("index", "one_hot", "regions"),
}
"""What the options of a calibration may be."""


def exact(share: float) -> Fraction:
    """Give a decimal number as the fraction it prints as.

    Example:
        >>> exact(0.1)
        Fraction(1, 10)
    """
    return Fraction(repr(float(share)))


def check_share(name: str, value: object, where: str = "") -> None:
    """Refuse what is not a number in (0, 1).

    Args:
        name: name of the argument in the message.
        value: what was given.
        where: what it is needed for, in the message.

    Raises:
        ValueError: when it is not.

    Example:
        >>> check_share("alpha", 0.1)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < 1.0:
        raise ValueError(f"Expected `{name}` to be a number in (0, 1), such as 0.1{where}, but got {value!r}.")


def check_weight(weight: object, what: str = "the weight of the case") -> float:
    """Refuse what is no weight.

    Raises:
        ValueError: when it is not a finite number from 0 on.
    """
    fits = isinstance(weight, (int, float, np.floating, np.integer)) and not isinstance(weight, bool)
    if not fits or not 0 <= float(weight) < math.inf:  # type: ignore[arg-type]
        raise ValueError(f"Expected {what} to be a finite number from 0 on, but got {weight!r}.")
    return float(weight)  # type: ignore[arg-type]


def check_options(**options: Any) -> None:
    """Refuse options of a calibration that are not offered.

    Args:
        options: any of ``unit_loss``, ``empty``, ``outside`` and ``label_mode``.

    Raises:
        ValueError: when one has another value; the message names it.
    """
    for name, value in options.items():
        if value not in ALLOWED_OPTIONS[name]:
            raise ValueError(f"Expected `{name}` to be one of {', '.join(ALLOWED_OPTIONS[name])}, but got {value!r}.")
