"""The exact search for nearest neighbours, among all nodes or within a reach of slices, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

__all__ = ["Backend", "SearchWindow", "compare_pairs", "search_neighbors", "slice_windows"]

Backend = Literal["auto", "pyg"]

_BLOCK_BYTES = 64 * 2**20
# Gathered pairs are read once, so a block that fits the processor's cache is several times faster than a large one.
_GATHER_BYTES = 2 * 2**20


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
    if not isinstance(slice_reach, int) or isinstance(slice_reach, bool) or slice_reach < 0:
        raise ValueError(f"Expected `slice_reach` to be an integer of at least 0, but got {slice_reach!r}.")
    ordered, order = slices.sort(stable=True)
    numbers, counts = ordered.unique_consecutive(return_counts=True)
    stops = counts.cumsum(0)
    # A reach beyond all slices finds no more of them, and a very large one would overflow.
    reach = min(slice_reach, int(ordered[-1] - ordered[0]))
    first = torch.searchsorted(ordered, numbers - reach)
    last = torch.searchsorted(ordered, numbers + reach, right=True)
    columns = (stops - counts, stops, first, last)
    return order, [SearchWindow(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def search_neighbors(
    z: torch.Tensor,
    position: torch.Tensor | None,
    k: int,
    order: torch.Tensor | None,
    windows: Sequence[SearchWindow],
    backend: Backend,
) -> torch.Tensor:
    """Find the ``k`` nodes most like each node within its window, in any order.

    Args:
        z: float tensor of shape ``[N, F]``, L2-normalised.
        position: float tensor of shape ``[N, D]``, coordinates times their weight, or None.
        k: number of neighbours, smaller than every window's number of candidates.
        order: from :py:func:`slice_windows`.
        windows: from :py:func:`slice_windows`.
        backend: ``"auto"`` or ``"pyg"``.

    Returns:
        int64 tensor of shape ``[N, k]``; never a node itself.

    Raises:
        ValueError: when ``backend`` is neither, or (``"pyg"`` only) a feature vector is zero.
        ImportError: when ``backend="pyg"`` and torch-geometric's compiled companion is missing.
    """
    searches = {"auto": _search_blocked, "pyg": _search_torch_geometric}
    if backend not in searches:
        raise ValueError(f'Expected `backend` to be "auto" or "pyg", but got {backend!r}.')
    if order is None:
        return searches[backend](z, position, k, windows)
    found = searches[backend](z[order], None if position is None else position[order], k, windows)
    neighbors = torch.empty_like(found)
    neighbors[order] = order[found]
    return neighbors


def compare_pairs(
    points: torch.Tensor, neighbors: torch.Tensor, compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Compare every node with each of its neighbours, block by block.

    Args:
        points: tensor of shape ``[N, F]``.
        neighbors: int64 tensor of shape ``[N, k]``.
        compare: function of ``[n, 1, F]`` and ``[n, k, F]`` to ``[n, k]``.

    Returns:
        tensor of shape ``[N, k]``.
    """
    rows = max(1, _GATHER_BYTES // (8 * neighbors.shape[1] * points.shape[1]))
    blocks = range(0, neighbors.shape[0], rows)
    return torch.cat([compare(points[s : s + rows, None], points[neighbors[s : s + rows]]) for s in blocks])


def _search_blocked(
    z: torch.Tensor, position: torch.Tensor | None, k: int, windows: Sequence[SearchWindow]
) -> torch.Tensor:
    # -|u_i|^2/2 is the same for a whole row, so the ranking needs only u_i.u_j - |u_j|^2/2: one extra column turns
    # the spatial term into part of the same matrix product.
    left, right = z, z
    if position is not None:
        half_square = position.square().sum(dim=1, keepdim=True) / 2
        left = torch.cat([z, position, torch.ones_like(half_square)], dim=1)
        right = torch.cat([z, position, -half_square], dim=1)
    neighbors = torch.empty((z.shape[0], k), dtype=torch.int64, device=z.device)
    for window in windows:
        candidates = right[window.first : window.last].T
        rows = max(1, _BLOCK_BYTES // (window.n_candidates * z.element_size()))
        for start in range(window.start, window.stop, rows):
            stop = min(start + rows, window.stop)
            similarity = left[start:stop] @ candidates
            own = torch.arange(start, stop, device=z.device)
            similarity[own - start, own - window.first] = -torch.inf
            neighbors[start:stop] = similarity.topk(k, dim=1).indices + window.first
    return neighbors


def _search_torch_geometric(
    z: torch.Tensor, position: torch.Tensor | None, k: int, windows: Sequence[SearchWindow]
) -> torch.Tensor:
    from torch_geometric.nn import knn_graph as torch_geometric_knn_graph

    if (z.square().sum(dim=1) < 0.5).any():
        raise ValueError(
            'backend="pyg" ranks by Euclidean distance, which ranks like the cosine only for non-zero features, but '
            'some feature vectors are zero. Use backend="auto".'
        )
    points = z if position is None else torch.cat([z, position], dim=1)
    neighbors = torch.empty((z.shape[0], k), dtype=torch.int64, device=z.device)
    for window in windows:
        candidates = points[window.first : window.last]
        # torch-geometric looks for k + 1 and then drops "self"; where features are duplicated self may not be among
        # them and a node ends up with one neighbour too many. Asking for self and dropping it here keeps k for each.
        try:
            source, target = torch_geometric_knn_graph(candidates, k + 1, loop=True, flow="source_to_target")
        except ImportError as error:
            raise ImportError(
                'backend="pyg" calls torch_geometric.nn.knn_graph, whose compiled companion is missing: install '
                "pyg-lib (torch-geometric 2.8 or newer) or torch-cluster (torch-geometric 2.7) built for your torch, "
                'or use backend="auto", which gives the same neighbours and needs neither.'
            ) from error
        found = source[torch.argsort(target, stable=True)].reshape(window.n_candidates, k + 1)
        nodes = torch.arange(window.n_candidates, device=z.device).unsqueeze(1)
        distance = compare_pairs(candidates, found, lambda a, b: (a - b).square().sum(dim=-1))
        distance[found == nodes] = torch.inf
        kept = found.gather(1, distance.topk(k, dim=1, largest=False).indices) + window.first
        neighbors[window.start : window.stop] = kept[window.start - window.first : window.stop - window.first]
    return neighbors
