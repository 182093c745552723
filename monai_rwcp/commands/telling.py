"""What a command says: errors that a user can mend, and results once, however many processes share the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from monai_rwcp.folders.match import FolderCase

__all__ = ["MENDABLE", "say", "say_cases", "told"]

MENDABLE = (ImportError, OSError, ValueError, RuntimeError)
"""Errors whose messages tell a user what to do."""


@contextmanager
def told(
    errors: tuple[type[Exception], ...] = MENDABLE, as_error: type[click.ClickException] = click.ClickException
) -> Iterator[None]:
    """Tell errors that a user can mend as a message, without a traceback.

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
        yield
    except errors as error:
        raise as_error(str(error)) from error


def say(text: str) -> None:
    """Print a text in the first of the processes that share the work."""
    from monai_rwcp.utils.processes import is_first_process

    if is_first_process():
        click.echo(text)


def say_cases(cases: Sequence[FolderCase]) -> None:
    """Print which files belong together, once for all processes that were started, for a dry run."""
    from monai_rwcp.utils.processes import joined_processes

    with joined_processes():
        for case in cases:
            others = [str(path) for path in (case.label, case.image) if path is not None]
            say(f"{case.name} (unit {case.unit}): {', '.join([str(case.map), *others])}")
        say(f"{len(cases)} cases of {len({case.unit for case in cases})} units; nothing was written.")
