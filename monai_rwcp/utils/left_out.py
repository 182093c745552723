"""One sentence for what lies in a folder and is not used."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

__all__ = ["told_left_out"]

_SHOWN = 5


def told_left_out(folder: Path, why: Mapping[str, str]) -> str | None:
    """Name the first few of what is not used, and how many more there are.

    Args:
        folder: where they lie.
        why: for the name of each, why it is not used; the most telling first.

    Returns:
        a sentence; None where all is used.

    Example:
        >>> print(told_left_out(Path("labels"), {"a.nii": "no map of this name", "b.nii": "no map of this name"}))
        Not used in 'labels': a.nii, b.nii (no map of this name).
    """
    if not why:
        return None
    # A reason that several share is told once.
    groups = groupby(list(why.items())[:_SHOWN], key=lambda named: named[1])
    named = ", ".join(f"{', '.join(name for name, _ in group)} ({reason})" for reason, group in groups)
    more = f" and {len(why) - _SHOWN} more" if len(why) > _SHOWN else ""
    return f"Not used in '{folder}': {named}{more}."
