"""Joining what several processes counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import TypeVar

import torch.distributed

from monai_rwcp.conformal import LossTable

__all__ = ["from_all_processes", "is_first_process", "joined_table", "process_count"]

T = TypeVar("T")


def process_count() -> int:
    """Number of processes that share the cases, 1 without `torch.distributed`.

    Example:
        >>> process_count()
        1
    """
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


def is_first_process() -> bool:
    """Whether this process is the one that writes files.

    Example:
        >>> is_first_process()
        True
    """
    return process_count() == 1 or torch.distributed.get_rank() == 0


def from_all_processes(values: Sequence[T]) -> list[T]:
    """Join what the processes have collected, in the order in which a sampler deals cases out to them.

    Args:
        values: what this process has collected, in its order; each can be pickled.

    Returns:
        the first value of every process, then the second of every process, and so on.

    Example:
        >>> from_all_processes([1, 2])
        [1, 2]
    """
    if process_count() == 1:
        return list(values)
    gathered: list[list[T]] = [[] for _ in range(process_count())]
    torch.distributed.all_gather_object(gathered, list(values))
    # Boxed, so that a value may be None itself.
    boxed = zip_longest(*([(value,) for value in of_process] for of_process in gathered), fillvalue=())
    return list(chain.from_iterable(chain.from_iterable(boxed)))


def joined_table(tables: list[LossTable]) -> LossTable:
    """Join the tables of all processes; every process has to call it, also with an empty list.

    Args:
        tables: what this process counted.

    Returns:
        the same table in every process.

    Raises:
        ValueError: in every process, when none has a table or the tables do not fit together.
    """
    own = from_all_processes([LossTable.join(tables)] if tables else [])
    if not own:
        raise ValueError("The evaluator ran over no case, so there is nothing to calibrate on.")
    return LossTable.join(own)
