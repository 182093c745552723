"""A progress bar over the nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "node_progress"]

Advance = Callable[[int], object]
"""Called with the number of nodes that are done since it was last called."""


@contextmanager
def node_progress(n_nodes: int, shown: bool) -> Iterator[Advance]:
    """Show a progress bar, or nothing.

    Args:
        n_nodes: number of nodes in all.
        shown: whether a bar is shown.

    Raises:
        ImportError: when a bar is wanted and tqdm is not installed.

    Example:
        >>> with node_progress(10, shown=False) as advance:
        ...     _ = advance(10)
    """
    if not shown:
        yield lambda count: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True shows a bar of tqdm: pip install monai-rwcp[progress], or leave progress=False."
        ) from error
    with tqdm(total=n_nodes, desc="search neighbours", unit="node", unit_scale=True) as bar:
        yield bar.update
