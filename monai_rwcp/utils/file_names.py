"""Finding a file whose name is written with composed letters in one place and with decomposed ones in another."""

from __future__ import annotations

import unicodedata
from pathlib import Path

__all__ = ["as_on_disk"]


def as_on_disk(path: Path) -> Path:
    """Give a path as it is there; as it was given where nothing is there, in no form of its letters.

    Example:
        >>> as_on_disk(Path("no/such.nii.gz")).name
        'such.nii.gz'
    """
    if path.exists() or not path.name or path.name == "..":
        return path
    folder = as_on_disk(path.parent)
    wanted = unicodedata.normalize("NFC", path.name)
    others = sorted(folder.iterdir()) if folder.is_dir() else []
    alike = [other for other in others if unicodedata.normalize("NFC", other.name) == wanted]
    return alike[0] if len(alike) == 1 else path
