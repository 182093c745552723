"""What a command says: errors that a user can mend, and results once, however many processes share the work."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from monai_rwcp.commands.wording import as_command_says
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.utils.shown_text import one_line, terminal_text
from monai_rwcp.utils.told_elsewhere import ToldElsewhereError

__all__ = ["MENDABLE", "say", "say_cases", "tell", "told"]

MENDABLE = (ImportError, OSError, ValueError, RuntimeError)
"""Errors whose messages tell a user what to do."""


@contextmanager
def told(
    errors: tuple[type[Exception], ...] = MENDABLE, as_error: type[click.ClickException] = click.ClickException
) -> Iterator[None]:
    """Tell errors that a user can mend as a message, without a traceback, and warnings likewise.

    Args:
        errors: which they are; others are faults of the program.
        as_error: what they become, which has the exit code.

    Example:
        >>> with told():
        ...     raise FileNotFoundError("There is no 'calibration.json'.")
        Traceback (most recent call last):
        click.exceptions.ClickException: There is no 'calibration.json'.
    """
    try:
        with _warned():
            yield
    except ToldElsewhereError:
        raise SystemExit(as_error.exit_code) from None
    except errors as error:
        if _others_tell():
            raise SystemExit(as_error.exit_code) from None
        raise as_error(_shown(str(error))) from error


def tell(text: str) -> None:
    """Print a text, of which nothing can steer the terminal."""
    click.echo(terminal_text(text))


def say(text: str) -> None:
    """Print a text in the first of the processes that share the work."""
    from monai_rwcp.utils.processes import is_first_process

    if is_first_process():
        tell(text)


@contextmanager
def _warned() -> Iterator[None]:
    """Print warnings as the errors are printed, each once."""
    shown, before = set(), warnings.formatwarning

    def text(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> str:
        if not issubclass(category, UserWarning):
            return before(message, category, *where, **more)
        said = "" if str(message) in shown else f"Warning: {_shown(str(message))}\n"
        shown.add(str(message))
        return said

    # Only how they are written: whoever records warnings still gets them.
    warnings.formatwarning = text
    try:
        yield
    finally:
        warnings.formatwarning = before


def _shown(message: str) -> str:
    return terminal_text(as_command_says(message))


def _others_tell() -> bool:
    """Whether what ended this process ends the first of those that `torchrun` started, too, which tells it.

    Until they are joined all do the same with the same files.
    """
    if os.environ.get("RANK", "0") == "0":
        return False
    from torch import distributed

    return not (distributed.is_available() and distributed.is_initialized())


def say_cases(cases: Sequence[FolderCase]) -> None:
    """Print which files belong together, once for all processes that were started, for a dry run."""
    from monai_rwcp.utils.processes import joined_processes

    with joined_processes():
        for case in cases:
            others = [str(path) for path in (case.label, case.image) if path is not None]
            say(one_line(f"{case.name} (unit {case.unit}): {', '.join([str(case.map), *others])}"))
        say(f"{len(cases)} cases of {len({case.unit for case in cases})} units; nothing was written.")
