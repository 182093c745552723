"""Symbolic links, which not everybody may make in Windows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

__all__ = ["link"]


def link(path: Path, target: Path, *, to_folder: bool = False) -> None:
    """Make a link, or skip the test where Windows does not let this user."""
    try:
        path.symlink_to(target, target_is_directory=to_folder)
    except OSError as error:
        if sys.platform != "win32":
            raise
        pytest.skip(f"Windows lets this user make no links: {error}")
