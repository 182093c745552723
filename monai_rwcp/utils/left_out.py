"""One sentence for what lies in a folder and is not used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["told_left_out"]

_SHOWN = 5


def told_left_out(folder: Path, why: Mapping[str, str]) -> str | None:
    """Name the first few of what is not used, and how many they are.

    Args:
        folder: where they lie.
        why: for the name of each, why it is not used; the most telling first.

    Returns:
        a sentence; None where all is used.

    Example:
        >>> print(told_left_out(Path("labels"), {"ben.nii.gz": "no map of this name", ".b.nii.gz": "hidden"}))
        Not used in 'labels': ben.nii.gz (no map of this name), .b.nii.gz (hidden). 2 in all.
    """
    if not why:
        return None
    named = ", ".join(f"{name} ({reason})" for name, reason in list(why.items())[:_SHOWN])
    more = ", ..." if len(why) > _SHOWN else ""
    return f"Not used in '{folder}': {named}{more}. {len(why)} in all."
