"""What processes that share the cases tell each other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, zip_longest
from typing import Any, TypeVar

import torch.distributed

from monai_rwcp.utils.older_versions import leave_processes
from monai_rwcp.utils.told_elsewhere import ToldElsewhereError

__all__ = [
    "done_by_first",
    "from_all",
    "from_all_in_turn",
    "is_first_process",
    "joined_processes",
    "n_processes",
    "raised_by_first",
    "warned_by_first",
]

T = TypeVar("T")


def n_processes() -> int:
    """Number of processes that share the cases, 1 without `torch.distributed`."""
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1


def is_first_process() -> bool:
    """Whether this process is the one that writes files."""
    return n_processes() == 1 or torch.distributed.get_rank() == 0


@contextmanager
def joined_processes() -> Iterator[None]:
    """Join the processes that `torchrun` has started, if it has, for as long as the block runs without an error.

    Import what the block needs before it: where MONAI was imported inside, some runs aborted as they ended
    (torch 2.13: "terminate called without an active exception").
    """
    if not torch.distributed.is_torchelastic_launched() or torch.distributed.is_initialized():
        yield
        return
    torch.distributed.init_process_group("gloo")
    yield
    # After an error the others may be waiting for this process, whose end makes torchrun end them.
    leave_processes()


def from_all(own: T) -> list[T]:
    """Give what every process gives, in the order of their ranks; every process has to call it.

    Args:
        own: what this process gives, anything that can be pickled.

    Raises:
        RuntimeError: when another process has ended.
    """
    if n_processes() == 1:
        return [own]
    gathered: list[Any] = [None] * n_processes()
    try:
        torch.distributed.all_gather_object(gathered, own)
    except RuntimeError as error:
        raise RuntimeError(
            f"Process {torch.distributed.get_rank()} could not exchange its counts with the others. Most likely one of "
            f"them failed and ended: look for its error first. ({error})"
        ) from error
    return gathered


def from_all_in_turn(values: Sequence[T]) -> list[T]:
    """Join lists of all processes in the order in which a sampler deals cases out to them.

    Args:
        values: what this process has collected, in its order; each can be pickled.

    Returns:
        the first value of every process, then the second of every process, and so on.

    Example:
        >>> from_all_in_turn([1, 2])
        [1, 2]
    """
    # Boxed, so that a value may be None itself.
    boxed = zip_longest(*([(value,) for value in of_process] for of_process in from_all(list(values))), fillvalue=())
    return list(chain.from_iterable(chain.from_iterable(boxed)))


def done_by_first(action: Callable[[], None]) -> None:
    """Let the first process do something while the others wait; every process has to call it.

    Args:
        action: what to do.

    Raises:
        Exception: in the first process, what ``action`` raised.
        ToldElsewhereError: in the others, when it raised; the message tells what.
    """
    failure: Exception | None = None
    if is_first_process():
        try:
            action()
        except Exception as error:
            failure = error
    told = from_all(None if failure is None else f"{type(failure).__name__}: {failure}")[0]
    if failure is not None:
        raise failure
    if told is not None:
        raise ToldElsewhereError(f"The first process, which writes the file, failed, so the others stop, too: {told}")


def raised_by_first(error: Exception) -> Exception:
    """An error that every process has found: itself in the first, in the others one that need not be told again.

    Args:
        error: what every process is about to raise.

    Example:
        >>> raised_by_first(ValueError("There is no case."))
        ValueError('There is no case.')
    """
    return error if is_first_process() else ToldElsewhereError(str(error))


@contextmanager
def warned_by_first() -> Iterator[None]:
    """Let only the first process warn of what all find alike."""
    if is_first_process():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
