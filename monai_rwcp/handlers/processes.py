"""Joining what several processes counted."""

from __future__ import annotations

import torch.distributed

from monai_rwcp.conformal import LossTable

__all__ = ["is_first_process", "joined_table", "n_processes"]


def n_processes() -> int:
    """Number of processes that share the cases, 1 without `torch.distributed`."""
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


def is_first_process() -> bool:
    """Whether this process is the one that writes files."""
    return n_processes() == 1 or torch.distributed.get_rank() == 0


def joined_table(tables: list[LossTable]) -> LossTable:
    """Join the tables of all processes; every process has to call it, also with an empty list.

    Args:
        tables: what this process counted.

    Returns:
        the same table in every process.

    Raises:
        ValueError: in every process, when none has a table or the tables do not fit together.
    """
    own = [LossTable.join(tables)] if tables else []
    if n_processes() > 1:
        gathered: list[list[LossTable]] = [[] for _ in range(n_processes())]
        torch.distributed.all_gather_object(gathered, own)
        own = [table for of_process in gathered for table in of_process]
    if not own:
        raise ValueError("The evaluator ran over no case, so there is nothing to calibrate on.")
    return LossTable.join(own)
