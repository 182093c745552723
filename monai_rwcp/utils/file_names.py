"""Names that a file system takes for one: letters composed or not, and in some systems capitals and small letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

__all__ = ["as_on_disk", "check_told_apart"]


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


def check_told_apart(names: Iterable[str], beside: Path) -> None:
    """Refuse names that differ in capitals alone where the file system takes them for one, as in Windows and macOS.

    Args:
        names: of files that are to be written.
        beside: a file that is there, with letters in its name, in the folder of these files.

    Raises:
        ValueError: when there are such; the message names them.

    Example:
        >>> check_told_apart(["anna", "ben"], Path(__file__))
    """
    other_letters = beside.with_name(beside.name.swapcase())
    if not (other_letters.exists() and other_letters.samefile(beside)):
        return
    first: dict[str, str] = {}
    for name in names:
        before = first.setdefault(name.casefold(), name)
        if before != name:
            raise ValueError(
                f"'{before}' and '{name}' differ in capitals alone, and in '{beside.parent}' both would be one file. "
                "Rename one, or name a folder on a disk that tells them apart."
            )
