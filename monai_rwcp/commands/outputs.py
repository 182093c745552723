"""Nothing is written over: outputs are new files and empty folders."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["check_empty_folder", "check_new_file"]


def check_new_file(out: Path) -> None:
    """Refuse a file that is there.

    Raises:
        FileExistsError: when it is.
    """
    if out.exists():
        raise FileExistsError(f"'{out}' exists; nothing there is overwritten. Name a new file.")


def check_empty_folder(out: Path) -> None:
    """Refuse a folder in which something lies.

    Raises:
        click.UsageError: when something does.
    """
    if out.is_dir() and any(out.iterdir()):
        raise click.UsageError(f"'{out}' is not empty; nothing there is overwritten. Name an empty or a new folder.")
