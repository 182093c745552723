"""Versions of the packages that have a part in a score and its threshold."""

from __future__ import annotations

import importlib.metadata
from functools import cache

__all__ = ["installed_packages"]


def installed_packages() -> dict[str, str]:
    """Versions of the packages that have a part in a score and its threshold."""
    names = ("monai-rwcp", "monai", "torch", "torch-geometric", "numpy")
    return {name: _version(name) for name in names}


# Reading the files of five packages takes longer than a calibration.
@cache
def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed as a package"
