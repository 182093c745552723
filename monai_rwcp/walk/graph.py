"""A graph of nearest neighbours, and the transition weights along its edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["KNNGraph", "transition_weights"]


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
        >>> from monai_rwcp.walk import knn_graph
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

    def __repr__(self) -> str:
        return f"KNNGraph({self.n_nodes} nodes, k={self.k})"

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
