"""Which nodes are searched together, and among which: all of them, or those within a reach of slices."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_rwcp.utils.arguments import check_integer

__all__ = ["SearchWindow", "slice_windows"]


@dataclass(frozen=True)
class SearchWindow:
    """Nodes whose neighbours are searched together, and the nodes they are searched among; both stops are excluded.

    Args:
        start: first node whose neighbours are searched.
        stop: end of these nodes.
        first: first node that is searched; ``first <= start``.
        last: end of the nodes that are searched; ``stop <= last``.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def n_candidates(self) -> int:
        """Number of nodes that are searched, each node itself among them."""
        return self.last - self.first


def slice_windows(
    slices: torch.Tensor | None, slice_reach: int, n_nodes: int
) -> tuple[torch.Tensor | None, list[SearchWindow]]:
    """Order the nodes by slice, so that each slice and its reach are one run of nodes each.

    Args:
        slices: int64 tensor of shape ``[N]``; None for one window of all nodes.
        slice_reach: how many slices away a neighbour may lie.
        n_nodes: number of nodes ``N``.

    Returns:
        the order of the nodes, int64 ``[N]`` (None: as they are), and the windows in that order.

    Raises:
        ValueError: when ``slices`` is not int64 ``[N]`` or ``slice_reach`` is negative.

    Example:
        >>> import torch
        >>> order, windows = slice_windows(torch.tensor([0, 1, 0, 1]), 0, 4)
        >>> order.tolist(), windows[1]
        ([0, 2, 1, 3], SearchWindow(start=2, stop=4, first=2, last=4))
    """
    if slices is None:
        return None, [SearchWindow(0, n_nodes, 0, n_nodes)]
    if slices.dtype != torch.int64 or slices.shape != (n_nodes,):
        raise ValueError(
            f"Expected `slices` int64 of shape ({n_nodes},), but got {slices.dtype} {tuple(slices.shape)}."
        )
    check_integer("slice_reach", slice_reach, 0)
    ordered, order = slices.sort(stable=True)
    numbers, counts = ordered.unique_consecutive(return_counts=True)
    stops = counts.cumsum(0)
    # A reach beyond all slices finds no more of them, and a very large one would overflow.
    reach = min(slice_reach, int(ordered[-1] - ordered[0]))
    first = torch.searchsorted(ordered, numbers - reach)
    last = torch.searchsorted(ordered, numbers + reach, right=True)
    columns = (stops - counts, stops, first, last)
    return order, [SearchWindow(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
