"""The exact search for nearest neighbours among nodes whose features are interpolated from a coarser grid.

Between the centres of neighbouring cells every feature is a mean of a few coarse ones, so the products of two such
blocks of nodes cannot exceed the largest product of their corners. Bounds from the coarse cells leave out most blocks,
and the products within the others follow from the coarse cells' own. What a bound cannot decide is searched in full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from monai_rwcp.utils.progress import Advance
from monai_rwcp.walk.grid import resample_to_grid
from monai_rwcp.walk.neighbor_search import search_rows

__all__ = ["search_interpolated", "search_pays"]

# Products that are held at once, on a processor and on a GPU.
_BLOCK_BYTES, _GPU_BLOCK_BYTES = 8 * 2**20, 128 * 2**20
# Blocks that are searched for each block of nodes. On feature maps of images, that decides 99 nodes of 100.
_SEARCHED_BLOCKS = 128
# The products of all coarse cells are held at once: a quarter of a GiB.
_MOST_CELLS = 8192
_SMALLEST_NORM = 1e-4


def search_pays(cells: tuple[int, ...], nodes: tuple[int, ...], k: int) -> bool:
    """Whether :py:func:`search_interpolated` pays for a grid of nodes over a feature map: it is much finer, and large.

    Example:
        >>> search_pays((64, 64), (224, 224), 20), search_pays((64, 64), (56, 56), 20)
        (True, False)
    """
    finer = all(n >= c for n, c in zip(nodes, cells, strict=True))
    if k >= _SEARCHED_BLOCKS or not finer or not 2 ** len(cells) <= math.prod(cells) <= _MOST_CELLS:
        return False
    n_blocks = math.prod(c + (n > c) for c, n in zip(cells, nodes, strict=True))
    return math.prod(nodes) >= 4 * math.prod(cells) and n_blocks >= 4 * _SEARCHED_BLOCKS


def search_interpolated(
    vectors: torch.Tensor,
    coarse: torch.Tensor,
    nodes: tuple[int, ...],
    k: int,
    position: torch.Tensor | None,
    advance: Advance,
) -> torch.Tensor:
    """Find the ``k`` nodes most like each node of a grid that is interpolated from ``coarse``.

    Args:
        vectors: float tensor of shape ``[N, F]``, each node's features times a positive number.
        coarse: float tensor of shape ``[F, *cells]``; the nodes' features are ``resample_to_grid(coarse, nodes)``.
        nodes: size of the grid of nodes; see :py:func:`search_pays`.
        k: number of neighbours, smaller than the number of nodes.
        position: float tensor of shape ``[N, axes]``, coordinates times their weight, or None.
        advance: is told how many nodes are done.

    Returns:
        int64 tensor of shape ``[N, k]``, in any order; never a node itself. The similarities are those of an exact
        search up to the rounding of ``coarse``'s dtype.
    """
    z = F.normalize(vectors, dim=1)
    # A common power of two changes no digit, and keeps products in range.
    coarse = torch.ldexp(coarse, -torch.frexp(coarse.abs().max()).exponent)
    norm = resample_to_grid(coarse, nodes).flatten(1).norm(dim=0)
    if norm.where(norm > 0, 1).min() < _SMALLEST_NORM or (norm.eq(0) & z.ne(0).any(dim=1)).any():
        # Features that nearly cancel lose their digits in products of coarse ones.
        return search_rows(z, position, k, torch.arange(len(z), device=z.device))
    blocks = _blocks(tuple(coarse.shape[1:]), nodes, norm, position)
    cells = coarse.flatten(1).T
    gram = cells @ cells.T
    reach = gram.diagonal().clamp(min=0).sqrt()[blocks.corners].amax(dim=1) / blocks.smallest_norm
    slack = coarse.shape[0] * torch.finfo(coarse.dtype).eps * reach.max() * reach

    neighbors = torch.empty((len(z), k), dtype=torch.int64, device=z.device)
    undecided = []
    n_blocks, size = blocks.members.shape
    held = size * max(gram.shape[0], _SEARCHED_BLOCKS * size) * gram.element_size()
    step = max(1, (_BLOCK_BYTES if z.device.type == "cpu" else _GPU_BLOCK_BYTES) // held)
    for start in range(0, n_blocks, step):
        rows = slice(start, min(start + step, n_blocks))
        found, decided = _search_blocks(blocks, rows, gram, slack, k)
        members = blocks.members[rows]
        neighbors[members[members >= 0]] = found[members >= 0]
        undecided.append(members[(members >= 0) & ~decided])
        advance(int((members >= 0).sum()))
    left = torch.cat(undecided)
    if len(left):
        neighbors[left] = search_rows(z, position, k, left)
    return neighbors


@dataclass(frozen=True)
class _Blocks:
    """Nodes between the centres of the same cells: ``B`` blocks of at most ``K`` nodes, with ``2^axes`` corner cells.

    Args:
        members: int64 ``[B, K]``, nodes; -1 where a block has fewer.
        corners: int64 ``[B, 2^axes]``, cells.
        smallest_norm: ``[B]``, of the interpolated features before they were normalised.
        weights: ``[B, K, 2^axes]``, each node's normalised feature as a sum over its corners.
        left: ``[B, K, axes + 2]``; the spatial term of two nodes is a row of ``left`` times one of ``right``.
        right: ``[B, K, axes + 2]``.
        low: ``[B, axes]``, the smallest weighted position in a block.
        high: ``[B, axes]``, the largest.
    """

    members: torch.Tensor
    corners: torch.Tensor
    smallest_norm: torch.Tensor
    weights: torch.Tensor
    left: torch.Tensor | None
    right: torch.Tensor | None
    low: torch.Tensor | None
    high: torch.Tensor | None


def _search_blocks(
    blocks: _Blocks, rows: slice, gram: torch.Tensor, slack: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbours [b, K, k] of the nodes of some blocks, and [b, K] whether no block left out can hold a nearer one."""
    members, corners, weights = blocks.members[rows], blocks.corners, blocks.weights
    n, size = members.shape
    products = weights[rows] @ gram[corners[rows]]  # [b, K, cells]: each node with each cell
    largest = products.amax(dim=1)
    bound = largest[:, corners[:, 0]]
    for corner in corners.T[1:]:
        bound = torch.maximum(bound, largest[:, corner])
    # A negative product bounds nothing once it is divided by the smallest norm, but zero does.
    bound = (bound / blocks.smallest_norm).clamp_(min=0)
    if blocks.low is not None and blocks.high is not None:
        gap = torch.maximum(blocks.low - blocks.high[rows].unsqueeze(1), blocks.low[rows].unsqueeze(1) - blocks.high)
        bound -= gap.clamp_(min=0).square_().sum(dim=2) / 2
    best, searched = bound.topk(_SEARCHED_BLOCKS + 1, dim=1)
    searched = searched[:, :-1]

    with_corners = products.gather(2, corners[searched].reshape(n, 1, -1).expand(n, size, -1))
    with_corners = with_corners.reshape(n, size, _SEARCHED_BLOCKS, -1).transpose(1, 2)
    similarity = with_corners @ weights[searched].transpose(2, 3)  # [b, searched, K, K]
    if blocks.left is not None and blocks.right is not None:
        similarity += blocks.left[rows].unsqueeze(1) @ blocks.right[searched].transpose(2, 3)
    similarity = similarity.transpose(1, 2).reshape(n, size, -1)
    candidates = blocks.members[searched].reshape(n, 1, -1)
    similarity += torch.zeros_like(candidates, dtype=similarity.dtype).masked_fill_(candidates < 0, -torch.inf)
    # One more than k, so that a node itself can be dropped from these few.
    values, kept = similarity.topk(k + 1, dim=2)
    found = candidates.expand(n, size, -1).gather(2, kept)
    values, kept = values.masked_fill_(found == members.unsqueeze(2), -torch.inf).topk(k, dim=2)
    decided = values[..., -1] >= (best[:, -1] + slack[rows]).unsqueeze(1)
    return found.gather(2, kept), decided


def _blocks(
    cells: tuple[int, ...], nodes: tuple[int, ...], norm: torch.Tensor, position: torch.Tensor | None
) -> _Blocks:
    device, rank = norm.device, len(nodes)
    lower, share = [], []
    for c, n in zip(cells, nodes, strict=True):
        # Exactly as the interpolation has it; before the first and after the last centre both corners are one cell.
        place = (torch.arange(n, dtype=torch.float64, device=device) + 0.5) * (c / n) - 0.5
        lower.append(place.floor().long())
        share.append(place - place.floor())
    numbers = [low.unique(return_inverse=True) for low in lower]
    shape = tuple(len(values) for values, _ in numbers)
    block = torch.zeros(nodes, dtype=torch.int64, device=device)
    weights = torch.ones((*nodes, 1), dtype=torch.float64, device=device)
    corners = torch.zeros((*shape, 1), dtype=torch.int64, device=device)
    for axis, ((values, inverse), s) in enumerate(zip(numbers, share, strict=True)):
        along = [-1 if a == axis else 1 for a in range(rank)]
        block = block * shape[axis] + inverse.reshape(along)
        pair = torch.stack([1 - s, s], dim=1).reshape(*along, 1, 2)
        weights = (weights.unsqueeze(-1) * pair).flatten(-2)
        ends = torch.stack([values, values + 1], dim=1).clamp(0, cells[axis] - 1).reshape(*along, 1, 2)
        corners = (corners.unsqueeze(-1) * cells[axis] + ends).flatten(-2)
    block, corners = block.reshape(-1), corners.flatten(0, -2)
    weights = weights.flatten(0, -2) / torch.where(norm > 0, norm, torch.inf).double().unsqueeze(1)

    n_blocks = len(corners)
    order = block.argsort(stable=True)
    count = torch.bincount(block, minlength=n_blocks)
    slot = torch.empty_like(block)
    slot[order] = torch.arange(len(block), device=device) - (count.cumsum(0) - count)[block[order]]
    size = int(count.max())

    def by_block(values: torch.Tensor, empty: float) -> torch.Tensor:
        result = values.new_full((n_blocks, size, *values.shape[1:]), empty)
        result[block, slot] = values
        return result

    positive = torch.where(norm > 0, norm, torch.inf)
    smallest = by_block(positive, torch.inf).amin(dim=1)
    left = right = low = high = None
    if position is not None:
        position = position.to(norm.dtype)
        half = position.square().sum(dim=1, keepdim=True) / 2
        one = torch.ones_like(half)
        left = by_block(torch.cat([position, one, -half], dim=1), 0)
        right = by_block(torch.cat([position, -half, one], dim=1), 0)
        low, high = by_block(position, torch.inf).amin(dim=1), by_block(position, -torch.inf).amax(dim=1)
    return _Blocks(
        by_block(torch.arange(len(block), device=device), -1).long(),
        corners,
        smallest,
        by_block(weights.to(norm.dtype), 0),
        left,
        right,
        low,
        high,
    )
