"""The exact search for nearest neighbours within windows of nodes, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Literal

import torch
import torch.nn.functional as F

from monai_rwcp.utils.progress import Advance
from monai_rwcp.walk.search_windows import SearchWindow
from monai_rwcp.walk.sparse import pair_products

__all__ = ["Backend", "search_neighbors", "search_rows"]

Backend = Literal["auto", "pyg"]
"""Who searches: this package, or `torch_geometric.nn.knn_graph`."""

# Products that are searched at once: few enough for a processor's caches, or enough to keep a GPU busy.
_BLOCK_BYTES, _GPU_BLOCK_BYTES = 32 * 2**20, 256 * 2**20
_GROUP = 8
_ALIGNED = 16 * _GROUP


def search_neighbors(
    vectors: torch.Tensor,
    position: torch.Tensor | None,
    k: int,
    order: torch.Tensor | None,
    windows: Sequence[SearchWindow],
    backend: Backend,
    advance: Advance,
) -> torch.Tensor:
    """Find the ``k`` nodes most like each node within its window, in any order.

    Args:
        vectors: float tensor of shape ``[N, F]``, of any length that does not overflow when squared.
        position: float tensor of shape ``[N, D]``, coordinates times their weight, or None.
        k: number of neighbours, smaller than every window's number of candidates.
        order: from :py:func:`monai_rwcp.walk.search_windows.slice_windows`.
        windows: from the same.
        backend: ``"auto"`` or ``"pyg"``.
        advance: is told how many nodes are done.

    Returns:
        int64 tensor of shape ``[N, k]``; never a node itself.

    Raises:
        ValueError: when ``backend`` is neither, or (``"pyg"`` only) a feature vector is zero.
        ImportError: when ``backend="pyg"`` and torch-geometric's compiled companion is missing.
    """
    searches = {"auto": _search_tiles, "pyg": _search_torch_geometric}
    if backend not in searches:
        raise ValueError(f'Expected `backend` to be "auto" or "pyg", but got {backend!r}.')
    neighbors = torch.empty((vectors.shape[0], k), dtype=torch.int64, device=vectors.device)
    # A window's vectors are copied and normalised when it is searched, so that a volume is never held twice.
    for window in windows:
        run = slice(window.first, window.last)
        nodes = torch.arange(run.start, run.stop, device=vectors.device) if order is None else order[run]
        z = F.normalize(vectors[run if order is None else nodes], dim=1)
        own = torch.arange(window.start, window.stop, device=vectors.device) - window.first
        found = searches[backend](z, None if position is None else position[nodes], k, own, advance)
        neighbors[nodes[own]] = nodes[found]
    return neighbors


def search_rows(z: torch.Tensor, position: torch.Tensor | None, k: int, rows: torch.Tensor) -> torch.Tensor:
    """Find the ``k`` nodes most like each of some nodes, among all nodes.

    Args:
        z: float tensor of shape ``[N, F]``, L2-normalised.
        position: float tensor of shape ``[N, D]``, coordinates times their weight, or None.
        k: number of neighbours, smaller than ``N``.
        rows: int64 tensor of shape ``[n]``, the nodes whose neighbours are searched.

    Returns:
        int64 tensor of shape ``[n, k]``, in any order; never a node itself.
    """
    left, right = _factors(z, position)
    return _nearest(left[rows], right, rows, k)


def _search_tiles(
    z: torch.Tensor, position: torch.Tensor | None, k: int, own: torch.Tensor, advance: Advance
) -> torch.Tensor:
    left, right = _factors(z, position)
    if len(own) == len(z):
        return _nearest(left, right, own, k, mutual=True, advance=advance)
    return _nearest(left[own], right, own, k, advance=advance)


def _factors(z: torch.Tensor, position: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Two matrices whose rows' products are the similarities."""
    if position is None:
        return z, z
    # -|u_i - u_j|^2/2 = u_i.u_j - |u_i|^2/2 - |u_j|^2/2: two more columns make it part of the same matrix product.
    half_square = position.square().sum(dim=1, keepdim=True) / 2
    one = torch.ones_like(half_square)
    return torch.cat([z, position, one, -half_square], dim=1), torch.cat([z, position, -half_square, one], dim=1)


def _nearest(
    left: torch.Tensor,
    right: torch.Tensor,
    own: torch.Tensor,
    k: int,
    *,
    mutual: bool = False,
    advance: Advance = lambda count: None,
) -> torch.Tensor:
    """Rows of ``right`` with the largest products with each row of ``left``, but for its own; in any order.

    ``mutual`` says that both are the same nodes: every product then serves two of them, and half of all is enough.
    """
    n, m = left.shape[0], right.shape[0]
    best = left.new_full((n, k), -torch.inf)
    found = torch.full((n, k), -1, dtype=torch.int64, device=left.device)
    rows, columns = _tile(n, left), _tile(m, left)
    # One buffer for all tiles: fresh memory for each would cost as much as the search within it.
    buffer = left.new_empty(rows * columns)
    for top in range(0, n, rows):
        for first in range(top if mutual else 0, m, columns):
            a, b = left[top : top + rows], right[first : first + columns]
            similarity = torch.mm(a, b.T, out=buffer[: len(a) * len(b)].view(len(a), len(b)))
            place = own[top : top + rows] - first
            inside = ((place >= 0) & (place < len(b))).nonzero().squeeze(1)
            similarity[inside, place[inside]] = -torch.inf
            _keep_largest(best[top : top + rows], found[top : top + rows], similarity, first)
            if mutual and first > top:
                _keep_largest(best[first : first + columns], found[first : first + columns], similarity.T, top)
        advance(len(best[top : top + rows]))
    return found


def _tile(n: int, like: torch.Tensor) -> int:
    """Length of equal parts of ``n`` nodes, so that the products of two parts fit in a block."""
    block = _BLOCK_BYTES if like.device.type == "cpu" else _GPU_BLOCK_BYTES
    longest = max(1, int((block / like.element_size()) ** 0.5))
    # Groups of a whole number of cache lines are read several times faster.
    step = _ALIGNED if longest >= _ALIGNED else 1
    longest -= longest % step
    length = -(-n // -(-n // longest))
    return min(n, -(-length // step) * step)


def _keep_largest(best: torch.Tensor, found: torch.Tensor, values: torch.Tensor, first: int) -> None:
    """Update in place the largest values of each row and their columns, which are counted from ``first``."""
    k = best.shape[1]
    rows, columns = _candidates(values, best.amin(dim=1), k)
    # Gathering is several times faster than indexing, but needs all rows.
    new = values.gather(1, columns) if len(rows) == len(values) else values[rows.unsqueeze(1), columns]
    both = torch.cat([best[rows], new], dim=1)
    best[rows], kept = both.topk(k, dim=1, sorted=False)
    found[rows] = torch.cat([found[rows], columns + first], dim=1).gather(1, kept)


def _candidates(values: torch.Tensor, smallest: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows with a value above their ``smallest``, and columns among which are those of their ``k`` largest."""
    n, m = values.shape
    groups = m // _GROUP
    if groups < 4 * k:
        rows = torch.arange(n, device=values.device)
        return rows, values.topk(min(k, m), dim=1, sorted=False).indices
    # The k largest lie in the k groups with the largest maxima, or behind the last whole group. Group g holds the
    # columns g, g + groups, ...: maxima over such a stride are several times faster than a search of every column.
    whole, rest = values.split([groups * _GROUP, m - groups * _GROUP], dim=1)
    maxima = reduce(torch.maximum, whole.split(groups, dim=1)).contiguous()
    largest, best_groups = maxima.topk(k, dim=1, sorted=False)
    rows = (torch.cat([largest, rest], dim=1).amax(dim=1) > smallest).nonzero().squeeze(1)
    columns = (best_groups[rows].unsqueeze(2) + groups * torch.arange(_GROUP, device=values.device)).flatten(1)
    behind = torch.arange(groups * _GROUP, m, device=values.device)
    return rows, torch.cat([columns, behind.expand(len(rows), -1)], dim=1)


def _search_torch_geometric(
    z: torch.Tensor, position: torch.Tensor | None, k: int, own: torch.Tensor, advance: Advance
) -> torch.Tensor:
    from torch_geometric.nn import knn_graph as torch_geometric_knn_graph

    if (z.square().sum(dim=1) < 0.5).any():
        raise ValueError(
            'backend="pyg" ranks by Euclidean distance, which ranks like the cosine only for non-zero features, but '
            'some feature vectors are zero. Use backend="auto".'
        )
    points = z if position is None else torch.cat([z, position], dim=1)
    # torch-geometric looks for k + 1 and then drops "self"; where features are duplicated self may not be among
    # them and a node ends up with one neighbour too many. Asking for self and dropping it here keeps k for each.
    try:
        source, target = torch_geometric_knn_graph(points, k + 1, loop=True, flow="source_to_target")
    except ImportError as error:
        raise ImportError(
            'backend="pyg" calls torch_geometric.nn.knn_graph, whose compiled companion is missing: install '
            "pyg-lib (torch-geometric 2.8 or newer) or torch-cluster (before 2.8) built for your torch, "
            'or use backend="auto", which gives the same neighbours and needs neither.'
        ) from error
    found = source[torch.argsort(target, stable=True)].reshape(len(points), k + 1)
    square = points.double().square().sum(dim=1)
    distance = square.unsqueeze(1) + square[found] - 2 * pair_products(points, found)
    distance[found == torch.arange(len(points), device=z.device).unsqueeze(1)] = torch.inf
    kept = found.gather(1, distance.topk(k, dim=1, largest=False).indices)
    advance(len(own))
    return kept[own]
