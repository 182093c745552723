"""Versions of the packages that have a part in a score and its threshold."""

from __future__ import annotations

import importlib.metadata

__all__ = ["installed_packages"]


def installed_packages() -> dict[str, str]:
    """Versions of the packages that have a part in a score and its threshold."""
    names = ("monai-rwcp", "monai", "torch", "torch-geometric", "numpy")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found
