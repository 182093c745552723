"""A folder that results go to holds none of what they are made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

__all__ = ["check_apart"]


def check_apart(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse a folder for results that is a folder of inputs, or holds one, by whatever name or link.

    Args:
        out: the folder; it need not be there.
        inputs: files that are read.

    Raises:
        FileExistsError: when it is one, or holds one.

    Example:
        >>> check_apart(Path("no/such/sets"), [Path("maps/anna.nii.gz")])
    """
    if not out.exists():
        return
    folders = {of for path in inputs for of in (path.parent.resolve(), path.resolve().parent)}
    for folder in sorted(folders):
        for held in (folder, *folder.parents):
            if held.samefile(out):
                which = "is" if held == folder else "holds"
                raise FileExistsError(
                    f"'{out}' {which} the folder '{folder}' that is read, and nothing is written among what is read. "
                    "Name an empty or a new folder."
                )
