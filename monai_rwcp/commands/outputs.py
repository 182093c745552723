"""Nothing is written over but what a command made itself: outputs are new files and empty folders."""

from __future__ import annotations

import os
from pathlib import Path

import click

from monai_rwcp.utils.files import remove_unfinished
from monai_rwcp.utils.json_documents import parsed_json

__all__ = ["check_empty_folder", "claim_calibration", "claim_new_file"]


def claim_new_file(out: Path) -> None:
    """Refuse a file that is there, and take away what killed runs left beside it.

    Raises:
        FileExistsError: when it is.
    """
    # Also a link that leads nowhere.
    if os.path.lexists(out):
        raise FileExistsError(f"'{out}' exists; nothing there is overwritten. Name a new file.")
    _clear_beside(out)


def claim_calibration(out: Path, overwrite: bool) -> None:
    """As :py:func:`claim_new_file`; with ``overwrite`` only a file that is no calibration is refused.

    Raises:
        FileExistsError: when it is.
    """
    if not os.path.lexists(out):
        _clear_beside(out)
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
    _clear_beside(out)


def check_empty_folder(out: Path) -> None:
    """Refuse a folder in which something lies.

    Raises:
        click.UsageError: when something does.
    """
    # "new/../there" is no folder until "new" is made.
    real = Path(os.path.realpath(out))
    if real.is_dir() and any(real.iterdir()):
        raise click.UsageError(f"'{out}' is not empty; nothing there is overwritten. Name an empty or a new folder.")


def _clear_beside(out: Path) -> None:
    if out.parent.is_dir():
        remove_unfinished(out.parent)
