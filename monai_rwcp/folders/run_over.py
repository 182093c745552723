"""Letting a handler see the cases of a folder, shared by the processes that were started."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch.distributed
from ignite.engine import Engine

from monai_rwcp.folders.match import FolderCase
from monai_rwcp.utils.processes import is_first_process, n_processes
from monai_rwcp.utils.progress import shown_progress

__all__ = ["own_share", "run_over"]


def run_over(
    handler: Any,
    cases: Sequence[FolderCase],
    load: Callable[[FolderCase], dict[Hashable, Any]],
    title: str,
    progress: bool,
) -> dict[str, float]:
    """Let a handler see the cases of this process, read one after the other, and give what it measured.

    Args:
        handler: of `monai_rwcp.handlers`.
        cases: of all processes.
        load: reads a case.
        title: of the progress bar.
        progress: whether there is one.

    Raises:
        ValueError: when there are fewer cases than processes.
    """
    if len(cases) < n_processes():
        raise ValueError(
            f"Expected a case for each of the {n_processes()} processes, but got {len(cases)} in all. Start fewer."
        )
    own = own_share(cases)
    with shown_progress(len(own), progress and is_first_process(), title, "case") as advance:

        def step(engine: Engine, case: FolderCase) -> list[dict[Hashable, Any]]:
            advance(1)
            return [load(case)]

        engine = Engine(step)
        handler.attach(engine)
        return dict(engine.run(own).metrics)


def own_share(cases: Sequence[FolderCase]) -> Sequence[FolderCase]:
    """The cases of this process, dealt out in turn."""
    return cases if n_processes() == 1 else cases[torch.distributed.get_rank() :: n_processes()]
