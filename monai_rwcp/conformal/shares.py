"""Shares such as alpha, read as the decimal numbers people write."""

from __future__ import annotations

from fractions import Fraction

__all__ = ["check_share", "exact"]


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
