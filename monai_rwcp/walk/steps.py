"""The random walk that carries values along the edges of a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from monai_rwcp.utils.arguments import check_integer
from monai_rwcp.walk.graph import KNNGraph
from monai_rwcp.walk.sparse import sparse_rows

__all__ = ["random_walk", "random_walk_on_edges"]


def random_walk(
    x: torch.Tensor,
    graph: KNNGraph,
    weights: torch.Tensor,
    n_steps: int,
    restart: float = 0.0,
    *,
    return_steps: Sequence[int] | None = None,
) -> torch.Tensor:
    r"""Walk node values over a k-nearest-neighbour graph by a sparse matrix product (the fast path).

    .. math:: S_{t+1} = (1 - r) P S_t + r S_0, \qquad t = 0, \dots, n_{steps} - 1

    Args:
        x: float32 or float64 tensor of shape ``[N, C]``, the values :math:`S_0` of every node.
        graph: the neighbours of every node.
        weights: float tensor of shape ``[N, k]`` from :py:func:`transition_weights`; rows sum to 1. The walk runs
            in the wider of its dtype and that of ``x``: float64 weights keep rounding from adding up over the steps.
        n_steps: number of steps, at least 0 (0 returns a copy of ``x``).
        restart: probability :math:`r` in [0, 1) of returning to the start at each step.
        return_steps: numbers :math:`t` from 0 to ``n_steps`` of the states that are returned, all from this one walk;
            None returns the last state only.

    Returns:
        tensor of shape ``[N, C]``, or ``[len(return_steps), N, C]`` in the order asked for, and dtype of ``x``;
        ``x`` is not changed.

    Raises:
        ValueError: when shapes, ``n_steps``, ``restart`` or ``return_steps`` do not fit.

    Source: RW-CP, arXiv 2601.18997 (step 4).

    Example:
        >>> import torch
        >>> from monai_rwcp.walk import knn_graph, transition_weights
        >>> graph = knn_graph(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), k=1)
        >>> weights = transition_weights(graph.similarity, beta=50.0)
        >>> random_walk(torch.tensor([[0.0], [1.0], [0.5]]), graph, weights, n_steps=1).flatten()
        tensor([1., 0., 1.])
    """
    _check_walk(x, graph.n_nodes, n_steps, restart)
    if weights.shape != graph.neighbors.shape:
        raise ValueError(f"Expected `weights` of shape {tuple(graph.neighbors.shape)}, but got {tuple(weights.shape)}.")
    dtype = torch.promote_types(x.dtype, weights.dtype)
    transition = sparse_rows(graph.neighbors, weights.to(dtype))

    def step(state: torch.Tensor, spare: torch.Tensor) -> torch.Tensor:
        return torch.mm(transition, state, out=spare)

    return _repeat(x, dtype, step, n_steps, restart, return_steps)


def random_walk_on_edges(
    x: torch.Tensor,
    edge_index: torch.Tensor,
    edge_weight: torch.Tensor,
    n_steps: int,
    restart: float = 0.0,
    *,
    return_steps: Sequence[int] | None = None,
) -> torch.Tensor:
    r"""Walk node values over any torch-geometric graph by scattering along its edges (the general path).

    .. math:: S_{t+1}[i] = (1 - r) \sum_{(j \to i)} w_{ji} S_t[j] + r S_0[i]

    Args:
        x: float tensor of shape ``[N, C]``.
        edge_index: int64 tensor of shape ``[2, E]``: row 0 = source, row 1 = target.
        edge_weight: float tensor of shape ``[E]``; for a random walk the weights into every target sum to 1, which
            is not checked.
        n_steps: number of steps, at least 0.
        restart: probability in [0, 1) of returning to the start at each step.
        return_steps: as in :py:func:`random_walk`.

    Returns:
        as of :py:func:`random_walk`. A node without incoming edges receives 0 from its neighbours.

    Raises:
        ValueError: when shapes, node numbers, ``n_steps``, ``restart`` or ``return_steps`` do not fit.

    Example:
        >>> import torch
        >>> edge_index = torch.tensor([[1, 0], [0, 1]])
        >>> random_walk_on_edges(torch.tensor([[0.0], [1.0]]), edge_index, torch.ones(2), n_steps=1).flatten()
        tensor([1., 0.])
    """
    from torch_geometric.utils import scatter

    n = x.shape[0]
    _check_walk(x, n, n_steps, restart)
    if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_weight.shape != edge_index.shape[1:]:
        raise ValueError(
            f"Expected `edge_index` [2, E] and `edge_weight` [E], but got {tuple(edge_index.shape)} and "
            f"{tuple(edge_weight.shape)}."
        )
    if edge_index.numel() and not (int(edge_index.min()) >= 0 and int(edge_index.max()) < n):
        raise ValueError(f"Expected node numbers from 0 to {n - 1} in `edge_index`, but some lie outside.")
    source, target = edge_index
    dtype = torch.promote_types(x.dtype, edge_weight.dtype)
    weight = edge_weight.to(dtype).unsqueeze(1)

    def step(state: torch.Tensor, spare: torch.Tensor) -> torch.Tensor:
        return scatter(weight * state[source], target, 0, n, reduce="sum")

    return _repeat(x, dtype, step, n_steps, restart, return_steps)


def _check_walk(x: torch.Tensor, n_nodes: int, n_steps: int, restart: float) -> None:
    if x.ndim != 2 or x.shape[0] != n_nodes or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"Expected `x` to be a float32 or float64 tensor [{n_nodes} nodes, channels], but got {x.dtype} of shape "
            f"{tuple(x.shape)}."
        )
    check_integer("n_steps", n_steps, 0)
    if not 0.0 <= restart < 1.0:
        raise ValueError(f"Expected `restart` to be in [0, 1), but got {restart}.")


def _repeat(
    x: torch.Tensor,
    dtype: torch.dtype,
    step: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    n_steps: int,
    restart: float,
    return_steps: Sequence[int] | None,
) -> torch.Tensor:
    """Walk by ``step(state, spare)``, which may write the next state into ``spare`` and returns it."""
    asked = [n_steps] if return_steps is None else list(return_steps)
    if not asked or not all(isinstance(t, int) and not isinstance(t, bool) and 0 <= t <= n_steps for t in asked):
        raise ValueError(f"Expected `return_steps` to be integers from 0 to n_steps = {n_steps}, but got {asked}.")
    states = x.new_empty((len(asked), *x.shape))
    start = state = x.to(dtype)
    # Two states take turns: fresh memory at each step would cost as much as the product.
    spare = torch.empty_like(start)
    for t in range(n_steps + 1):
        if t > 0:
            following = step(state, spare)
            if restart:
                following.mul_(1.0 - restart).add_(start, alpha=restart)
            state, spare = following, torch.empty_like(start) if state is start else state
        for place, number in enumerate(asked):
            if number == t:
                states[place] = state
    return states[0] if return_steps is None else states
