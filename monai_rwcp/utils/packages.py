"""Packages that this one needs: whether they are there, and as new as its own metadata asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata

from monai_rwcp.version import __version__

__all__ = ["check_dependencies", "is_older", "needed"]

# As pyproject.toml writes a bound and setuptools copies it: a name, a lower bound, an extra or none.
_BOUND = re.compile(r"(?P<name>[\w.-]+)>=(?P<lowest>[\d.]+)(?P<extra>; extra ==.*)?")


def check_dependencies() -> None:
    """Refuse packages that are older than this one needs. Nothing but names and versions is read.

    A package that is missing is left to the line that imports it. A checkout that is not installed has no metadata, so
    nothing is compared.

    Raises:
        ImportError: when one is too old; the message names it, both versions and what mends it.

    Example:
        >>> check_dependencies()
    """
    bounds = {match["name"]: match["lowest"] for match in _bounds() if not match["extra"]}
    old = _too_old(bounds)
    if old:
        newer = " ".join(f'"{name}>={bounds[name]}"' for name in old)
        raise ImportError(f"monai_rwcp needs {' and '.join(old.values())}: pip install {newer}.")


@contextmanager
def needed(who: str, extra: str, *packages: str, otherwise: str = "") -> Iterator[None]:
    """Around the import of what an extra brings: an error that says what to install.

    Args:
        who: what needs it, with the verb: "Drawing needs".
        extra: the extra that brings it.
        packages: names that pip knows them by.
        otherwise: what else helps, such as ", or leave progress=False".

    Raises:
        ImportError: when one is missing or too old.

    Example:
        >>> with needed("Drawing needs", "report", "matplotlib"):
        ...     import matplotlib_of_another_planet
        Traceback (most recent call last):
        ImportError: Drawing needs matplotlib: pip install "monai-rwcp[report]".
    """
    mend = f'pip install "monai-rwcp[{extra}]"{otherwise}.'
    old = _too_old_of_extras(packages)
    if old:
        raise ImportError(f"{who} {' and '.join(old)}: {mend}")
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(f"{who} {' and '.join(packages)}: {mend}") from error


@cache
def _too_old_of_extras(packages: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        _too_old({match["name"]: match["lowest"] for match in _bounds() if match["name"] in packages}).values()
    )


@cache
def _bounds() -> tuple[re.Match[str], ...]:
    """The bounds in the metadata of this package as it is installed; none for a checkout that is not."""
    try:
        own = metadata.distribution("monai-rwcp")
    except metadata.PackageNotFoundError:
        return ()
    # Beside a checkout another release may be installed: what that one needs says nothing of this one.
    lines = (own.requires or ()) if own.version == __version__ else ()
    return tuple(match for match in map(_BOUND.fullmatch, lines) if match is not None)


def is_older(package: str, version: str) -> bool:
    """Whether a package is installed whose version is below one. Of two builds of one version none is older.

    Example:
        >>> is_older("torch", "1.0"), is_older("torch", "1000.0")
        (False, True)
    """
    found = _release(_installed(package))
    return bool(found) and found < _release(version)


def _too_old(bounds: dict[str, str]) -> dict[str, str]:
    """Of packages and their bounds those that are older, each with words that say so."""
    return {
        name: f"{name} {lowest} or newer, but {_installed(name)} is installed"
        for name, lowest in bounds.items()
        if is_older(name, lowest)
    }


def _installed(package: str) -> str:
    """The version of a package by its metadata; "" where it has none, or metadata in ruins."""
    try:
        return metadata.version(package) or ""
    except metadata.PackageNotFoundError:
        return ""


def _release(version: str) -> list[int]:
    """The numbers that a version begins with ("2.13.0+cpu", "2.5.0a0"), without zeros at their end."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
