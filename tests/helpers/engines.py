"""Handlers in the barest engine there is: what it is given is what it puts out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine


def run_bare(handlers: Any, batches: Sequence[Any]) -> Engine:
    """Run an engine over batches, each a list of the items that it puts out.

    Args:
        handlers: a handler, or several in a list.
        batches: what comes, one after the other.
    """
    engine = Engine(lambda engine, batch: batch)
    for handler in handlers if isinstance(handlers, list) else [handlers]:
        handler.attach(engine)
    engine.run(batches)
    return engine
