"""The exact k-nearest-neighbour graph over the feature vectors of one image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

__all__ = ["Backend", "KNNGraph", "knn_graph", "transition_weights"]

Backend = Literal["auto", "pyg"]

_BLOCK_BYTES = 64 * 2**20
# Gathered pairs are read once, so a block that fits the processor's cache is several times faster than a large one.
_GATHER_BYTES = 2 * 2**20


@dataclass(frozen=True)
class KNNGraph:
    """The ``k`` nearest neighbours of every node, and how similar they are.

    Args:
        neighbors: int64 tensor of shape ``[N, k]``; row ``i`` holds the nodes ``j != i`` nearest to node ``i``.
        similarity: float64 tensor of shape ``[N, k]``; the similarity of node ``i`` to each of them, at most 1,
            in descending order.

    Raises:
        ValueError: when the shapes differ, or a neighbour is not one of the ``N`` nodes.

    Example:
        >>> import torch
        >>> graph = knn_graph(torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), k=1)
        >>> graph.neighbors.tolist()
        [[1], [0], [1]]
        >>> graph.edge_index.tolist()
        [[1, 0, 1], [0, 1, 2]]
    """

    neighbors: torch.Tensor
    similarity: torch.Tensor

    def __post_init__(self) -> None:
        n = self.neighbors.shape[0] if self.neighbors.ndim == 2 else 0
        if n == 0 or self.neighbors.dtype != torch.int64 or self.similarity.shape != self.neighbors.shape:
            raise ValueError(
                "Expected `neighbors` int64 [N, k] and `similarity` of the same shape, but got "
                f"{self.neighbors.dtype} {tuple(self.neighbors.shape)} and {tuple(self.similarity.shape)}."
            )
        # A sparse product reads memory it does not own when a neighbour does not exist.
        if int(self.neighbors.min()) < 0 or int(self.neighbors.max()) >= n:
            raise ValueError(f"Expected neighbours from 0 to {n - 1}, but some lie outside.")

    @property
    def n_nodes(self) -> int:
        """Number of nodes ``N``."""
        return self.neighbors.shape[0]

    @property
    def k(self) -> int:
        """Number of neighbours of every node."""
        return self.neighbors.shape[1]

    @property
    def edge_index(self) -> torch.Tensor:
        """int64 ``[2, N * k]`` in torch-geometric's convention: row 0 = source = neighbour, row 1 = target = node."""
        target = torch.arange(self.n_nodes, device=self.neighbors.device).repeat_interleave(self.k)
        return torch.stack([self.neighbors.reshape(-1), target])

    def edge_weight(self, beta: float) -> torch.Tensor:
        """Transition probability of every edge, float ``[N * k]``; see :py:func:`transition_weights`."""
        return transition_weights(self.similarity, beta).reshape(-1)


def knn_graph(
    features: torch.Tensor,
    k: int,
    *,
    coordinates: torch.Tensor | None = None,
    spatial_weight: float = 0.0,
    backend: Backend = "auto",
) -> KNNGraph:
    r"""Find the exact ``k`` nearest neighbours of every node by cosine similarity and, if asked, by position.

    The similarity of two nodes is

    .. math:: s_{ij} = z_i \cdot z_j - \tfrac{g^2}{2} \lVert u_i - u_j \rVert^2,

    where :math:`z` are the L2-normalised features, :math:`u` the ``coordinates`` and :math:`g` the
    ``spatial_weight``. A node is never its own neighbour, so that every node has exactly ``k`` neighbours even
    where features are duplicated; among equally similar nodes the choice is arbitrary but repeatable. A feature
    vector of zeros stays zero: its cosine with every node is 0.

    Args:
        features: float tensor of shape ``[N, F]``; need not be normalised. float64 is kept, any other dtype is
            computed in float32.
        k: number of neighbours, ``1 <= k < N``.
        coordinates: float tensor of shape ``[N, D]``, needed when ``spatial_weight`` is not 0.
        spatial_weight: weight :math:`g \ge 0` of the position.
        backend: ``"auto"`` is an exact blocked search whose extra memory stays near 64 MiB; ``"pyg"`` calls
            ``torch_geometric.nn.knn_graph``, which needs a compiled companion package.

    Returns:
        the graph; ``similarity`` is float64, so that ``beta`` does not magnify rounding.

    Raises:
        ValueError: when features are not a finite 2D float tensor, ``k`` does not fit, coordinates are missing or
            do not fit, or (``"pyg"`` only) a feature vector is zero.
        ImportError: when ``backend="pyg"`` and torch-geometric's compiled companion is missing.

    Source: RW-CP, arXiv 2601.18997 (steps 1 and 2); the spatial term is this package's own addition.

    Example:
        >>> import torch
        >>> knn_graph(torch.eye(4), k=2).neighbors.shape
        torch.Size([4, 2])
    """
    vectors = _scaled(features)
    z = F.normalize(vectors, dim=1)
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k < z.shape[0]:
        raise ValueError(
            f"Expected `k` to be an integer from 1 to the number of nodes minus 1 ({z.shape[0] - 1}), but got {k}. "
            "Use a smaller k or a finer graph grid."
        )
    position = _weighted_position(coordinates, spatial_weight, z)
    if backend == "auto":
        neighbors = _search_blocked(z, position, k)
    elif backend == "pyg":
        neighbors = _search_torch_geometric(z, position, k)
    else:
        raise ValueError(f'Expected `backend` to be "auto" or "pyg", but got {backend!r}.')
    return _ranked(vectors, position, neighbors)


def transition_weights(similarity: torch.Tensor, beta: float) -> torch.Tensor:
    r"""Turn similarities into the non-zero entries of the row-stochastic transition matrix.

    .. math:: P_{ij} = \exp(\beta s_{ij}) \,/\, \textstyle\sum_{l \in N(i)} \exp(\beta s_{il})

    Args:
        similarity: float tensor of shape ``[N, k]``.
        beta: sharpness, a finite number of at least 0; 0 weighs all neighbours alike.

    Returns:
        float tensor of shape ``[N, k]`` in [0, 1] whose rows sum to 1, in the dtype of ``similarity``.

    Raises:
        ValueError: when ``beta`` is negative or not finite.

    Source: RW-CP, arXiv 2601.18997 (step 3).

    Example:
        >>> import torch
        >>> transition_weights(torch.tensor([[0.5, 0.5]]), beta=50.0)
        tensor([[0.5000, 0.5000]])
    """
    if not 0.0 <= beta < float("inf"):
        raise ValueError(f"Expected `beta` to be a finite number of at least 0, but got {beta}.")
    return torch.softmax(similarity * beta, dim=1)


def _scaled(features: torch.Tensor) -> torch.Tensor:
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(
            f"Expected `features` to be a float tensor [nodes, features], but got {features.dtype} of shape "
            f"{tuple(features.shape)}."
        )
    z = features if features.dtype == torch.float64 else features.to(torch.float32)
    if not torch.isfinite(z).all():
        raise ValueError(
            "Expected finite `features`, but some are NaN or infinite. Look for NaN in the image or an overflow "
            "in half precision."
        )
    # A power of two changes no digit, and keeps the squares of very large or small features in range.
    exponent = torch.frexp(z.abs().amax(dim=1, keepdim=True)).exponent
    return torch.ldexp(z, -exponent)


def _weighted_position(coordinates: torch.Tensor | None, spatial_weight: float, z: torch.Tensor) -> torch.Tensor | None:
    if not 0.0 <= spatial_weight < float("inf"):
        raise ValueError(f"Expected `spatial_weight` to be a finite number of at least 0, but got {spatial_weight}.")
    if spatial_weight == 0:
        return None
    if coordinates is None or coordinates.ndim != 2 or coordinates.shape[0] != z.shape[0]:
        got = None if coordinates is None else tuple(coordinates.shape)
        raise ValueError(
            f"Expected `coordinates` of shape [{z.shape[0]}, spatial dimensions] for a spatial_weight of "
            f"{spatial_weight}, but got {got}."
        )
    return coordinates.to(z) * spatial_weight


def _search_blocked(z: torch.Tensor, position: torch.Tensor | None, k: int) -> torch.Tensor:
    # -|u_i|^2/2 is the same for a whole row, so the ranking needs only u_i.u_j - |u_j|^2/2: one extra column turns
    # the spatial term into part of the same matrix product.
    left, right = z, z
    if position is not None:
        half_square = position.square().sum(dim=1, keepdim=True) / 2
        left = torch.cat([z, position, torch.ones_like(half_square)], dim=1)
        right = torch.cat([z, position, -half_square], dim=1)
    n = z.shape[0]
    rows = max(1, min(n, _BLOCK_BYTES // (n * z.element_size())))
    neighbors = torch.empty((n, k), dtype=torch.int64, device=z.device)
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        similarity = left[start:stop] @ right.T
        similarity[torch.arange(stop - start), torch.arange(start, stop)] = -torch.inf
        neighbors[start:stop] = similarity.topk(k, dim=1).indices
    return neighbors


def _search_torch_geometric(z: torch.Tensor, position: torch.Tensor | None, k: int) -> torch.Tensor:
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
            'backend="pyg" calls torch_geometric.nn.knn_graph, whose compiled companion is missing: install pyg-lib '
            "(torch-geometric 2.8 or newer) or torch-cluster (torch-geometric 2.7) built for your torch, or use "
            'backend="auto", which gives the same neighbours and needs neither.'
        ) from error
    order = torch.argsort(target, stable=True)
    candidates = source[order].reshape(z.shape[0], k + 1)
    nodes = torch.arange(z.shape[0], device=z.device).unsqueeze(1)
    distance = _gathered(points, candidates, lambda a, b: (a - b).square().sum(dim=-1))
    distance[candidates == nodes] = torch.inf
    kept = distance.topk(k, dim=1, largest=False).indices
    return candidates.gather(1, kept)


def _ranked(vectors: torch.Tensor, position: torch.Tensor | None, neighbors: torch.Tensor) -> KNNGraph:
    # The rounding of normalisation and matrix product would be multiplied by beta. Computing the few similarities that
    # are kept anew in float64, and leaving them there, keeps the transition weights exact.
    norm = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    inverse = torch.where(norm > 0, 1 / norm, 0)
    similarity = _gathered(vectors, neighbors, lambda a, b: (a.double() * b.double()).sum(dim=-1))
    similarity *= inverse.unsqueeze(1) * inverse[neighbors]
    if position is not None:
        similarity -= _gathered(position.double(), neighbors, lambda a, b: (a - b).square().sum(dim=-1)) / 2
    similarity, order = similarity.sort(dim=1, descending=True, stable=True)
    return KNNGraph(neighbors.gather(1, order), similarity)


def _gathered(
    points: torch.Tensor, neighbors: torch.Tensor, compare: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    rows = max(1, _GATHER_BYTES // (8 * neighbors.shape[1] * points.shape[1]))
    blocks = range(0, neighbors.shape[0], rows)
    return torch.cat([compare(points[s : s + rows, None], points[neighbors[s : s + rows]]) for s in blocks])
