"""Nothing is written over but what a command made itself: outputs are new files and empty folders."""

from __future__ import annotations

import os
from pathlib import Path

import click

from monai_rwcp.utils.json_documents import parsed_json

__all__ = ["check_empty_folder", "check_new_calibration", "check_new_file"]


def check_new_file(out: Path) -> None:
    """Refuse a file that is there.

    Raises:
        FileExistsError: when it is.
    """
    # Also a link that leads nowhere.
    if os.path.lexists(out):
        raise FileExistsError(f"'{out}' exists; nothing there is overwritten. Name a new file.")


def check_new_calibration(out: Path, overwrite: bool) -> None:
    """Refuse a file that is there, with ``overwrite`` one that is no calibration.

    Raises:
        FileExistsError: when it is.
    """
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise FileExistsError(f"'{out}' exists. Name a new file, or give --overwrite.")

    from monai_rwcp.conformal.promises.calibration_file import CALIBRATION_DOCUMENT

    try:
        document = parsed_json(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict) or document.get("format") != CALIBRATION_DOCUMENT.format:
        raise FileExistsError(
            f"'{out}' is no calibration, and --overwrite replaces nothing else. Name another file for --out."
        )


def check_empty_folder(out: Path) -> None:
    """Refuse a folder in which something lies.

    Raises:
        click.UsageError: when something does.
    """
    if out.is_dir() and any(out.iterdir()):
        raise click.UsageError(f"'{out}' is not empty; nothing there is overwritten. Name an empty or a new folder.")
