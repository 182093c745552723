"""Names of a package that are loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from threading import RLock
from typing import Any

import lazy_loader

__all__ = ["lazy_names", "load_public_names"]

# MONAI's modules import one another in circles, which threads that load several of them at once do not survive.
_LOADING = RLock()


def lazy_names(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Give a package what it needs to load its names when they are asked for.

    The names and where they live are in ``__init__.pyi`` beside ``file``, as scientific Python's SPEC 1 has it.
    Packages and modules within are loaded by their names, too.

    Args:
        package: its ``__name__``.
        file: its ``__file__``.

    Returns:
        its ``__getattr__``, ``__dir__`` and ``__all__``.

    Example:
        >>> import monai_rwcp.walk
        >>> __getattr__, __dir__, __all__ = lazy_names("monai_rwcp.walk", monai_rwcp.walk.__file__)
        >>> __getattr__("recommended")().grid
        4
    """
    load, directory, names = lazy_loader.attach_stub(package, file)

    def get(name: str) -> Any:
        with _LOADING:
            if name in names:
                return load(name)
            if not name.startswith("_") and find_spec(f"{package}.{name}") is not None:
                return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get, directory, names


def load_public_names() -> None:
    """Load all public names, for MONAI's bundle parser, which finds short names only in modules that are loaded.

    Example:
        >>> import sys
        >>> load_public_names()
        >>> "monai_rwcp.features.network" in sys.modules
        True
    """
    package = import_module("monai_rwcp")
    for name in package.__all__:
        getattr(package, name)
