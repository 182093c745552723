"""Checks of arguments: shares such as alpha, weights, and choices of a few words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from monai_rwcp.utils.shown_text import as_seen, hidden_character

__all__ = ["check_choice", "check_class_names", "check_integer", "check_share", "check_weight", "exact"]


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


def check_integer(name: str, value: object, lowest: int) -> None:
    """Refuse what is not an integer from a lowest one on.

    Args:
        name: name of the argument in the message.
        value: what was given.
        lowest: what it may be at least.

    Raises:
        ValueError: when it is not.

    Example:
        >>> check_integer("k", 20, lowest=1)
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"Expected `{name}` to be an integer of at least {lowest}, but got {value!r:.60}.")


def check_weight(weight: object, what: str = "the weight of the case") -> float:
    """Refuse what is no weight.

    Raises:
        ValueError: when it is not a finite number from 0 on.
    """
    fits = isinstance(weight, (int, float, np.floating, np.integer)) and not isinstance(weight, bool)
    if not fits or not 0 <= float(weight) < math.inf:  # type: ignore[arg-type]
        raise ValueError(f"Expected {what} to be a finite number from 0 on, but got {weight!r}.")
    return float(weight)  # type: ignore[arg-type]


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not offered.

    Args:
        name: name of the argument in the message.
        value: what was given.
        choices: what is offered.

    Raises:
        ValueError: when it is another.

    Example:
        >>> check_choice("empty", "zero", ("exclude", "zero"))
    """
    if value not in choices:
        raise ValueError(f"Expected `{name}` to be one of {', '.join(choices)}, but got {value!r}.")


def check_class_names(names: Sequence[str] | None) -> None:
    """Refuse names of classes of which two look alike, or that cannot be shown: no reader could tell them apart.

    Args:
        names: a name for each channel; None where classes are numbered.

    Raises:
        ValueError: when a name is there twice, is empty, or holds a hidden character; the message names it and its
            channels.

    Example:
        >>> check_class_names(["background", "left", "right"])
    """
    for c, name in enumerate(names or ()):
        hidden = hidden_character(str(name))
        if hidden is not None:
            raise ValueError(
                f"Expected names of classes that can be shown on one line, but {str(name)!a} of channel {c} holds the "
                f"hidden character U+{ord(hidden):04X}. Take it out."
            )
    plain = [as_seen(str(name)) for name in names or ()]
    twice = next((name for name in plain if plain.count(name) > 1), None)
    if twice is not None:
        channels = " and ".join(str(c) for c, name in enumerate(plain) if name == twice)
        raise ValueError(
            f"Expected every class to have a name of its own, but {twice!r} is that of channels {channels}. Nobody "
            "could tell their promises apart: give each its own."
        )
    if "" in plain:
        raise ValueError(f"Expected every class to have a name, but that of channel {plain.index('')} is empty.")
