"""Which files of the folders that a command is given belong together, and what it says of the others."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import click

from monai_rwcp.folders.match import FolderCase, match_folders

__all__ = ["matched", "say_left_out"]


def matched(maps: Path, **folders: Any) -> list[FolderCase]:
    """Find the files of every case, and tell what is not used.

    Args:
        maps, folders: see :py:func:`monai_rwcp.folders.match_folders`.

    Raises:
        OSError, ValueError: as :py:func:`monai_rwcp.folders.match_folders`.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cases = match_folders(maps, **folders)
    for warning in told:
        say_left_out(str(warning.message))
    return cases


def say_left_out(sentence: str | None) -> None:
    """Say beside the results what is not used, once for all processes that were started."""
    # They share the work later, and see the same folders.
    if sentence is not None and os.environ.get("RANK", "0") == "0":
        click.echo(sentence, err=True)
