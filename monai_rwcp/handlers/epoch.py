"""What most handlers do: start with the epoch, look at every batch, finish with it, keep and save the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from ignite.engine import Engine, Events

from monai_rwcp.utils.processes import done_by_first

__all__ = ["attach_to_epoch", "result_of_run", "save_by_first"]

T = TypeVar("T")


class _Document(Protocol):
    def save(self, path: str | Path) -> None:
        """Write a file."""
        ...


def attach_to_epoch(
    engine: Engine,
    start: Callable[[Engine], None],
    each_batch: Callable[[Engine], None],
    finish: Callable[[Engine], None],
) -> None:
    """Call three functions around and within every epoch of an engine; attached twice they are still called once.

    Args:
        engine: an evaluator or a bare ignite engine.
        start: called when an epoch starts.
        each_batch: called after every batch.
        finish: called when the epoch is complete.
    """
    for event, action in (
        (Events.EPOCH_STARTED, start),
        (Events.ITERATION_COMPLETED, each_batch),
        (Events.EPOCH_COMPLETED, finish),
    ):
        if not engine.has_event_handler(action, event):
            engine.add_event_handler(event, action)


def result_of_run(result: T | None, there: str) -> T:
    """The result of a handler's last finished run.

    Args:
        result: it, or None before the first run.
        there: what to say of it then, such as "is no calibration".

    Raises:
        RuntimeError: before the first run.

    Example:
        >>> result_of_run(0.5, "is no threshold")
        0.5
    """
    if result is None:
        raise RuntimeError(f"There {there} yet: run the evaluator this handler is attached to.")
    return result


def save_by_first(document: _Document, path: str | Path | None) -> None:
    """Let the first process write a file while the others wait; every process has to call it.

    Args:
        document: what is written.
        path: where to; None writes nothing.
    """
    done_by_first(lambda: None if path is None else document.save(path))
