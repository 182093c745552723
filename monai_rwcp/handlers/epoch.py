"""What most handlers do with an engine: start with the epoch, look at every batch, finish with the epoch."""

from __future__ import annotations

from collections.abc import Callable

from ignite.engine import Engine, Events

__all__ = ["attach_to_epoch"]


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
