"""Sparse matrices with the same number of entries in every row, and products at just these entries."""

from __future__ import annotations

import warnings

import torch

__all__ = ["pair_products", "sparse_rows"]

_FACTOR_BYTES = 64 * 2**20


def sparse_rows(columns: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Square compressed sparse row matrix.

    Args:
        columns: int64 tensor of shape ``[N, k]``, column numbers from 0 to ``N - 1``, which is not checked.
        values: float tensor of shape ``[N, k]``.

    Returns:
        sparse CSR tensor of shape ``[N, N]``; its values share memory with ``values``.

    Example:
        >>> import torch
        >>> sparse_rows(torch.tensor([[1], [0]]), torch.tensor([[2.0], [3.0]])).to_dense().tolist()
        [[0.0, 2.0], [3.0, 0.0]]
    """
    n, k = columns.shape
    # Short indices are half the memory to read; with long ones some libraries make short copies at every product.
    short = torch.int32 if n * k < 2**31 else torch.int64
    row_start = torch.arange(0, n * k + 1, k, dtype=short, device=columns.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            row_start, columns.reshape(-1).to(short), values.reshape(-1), (n, n), check_invariants=False
        )


def pair_products(points: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Inner products of some pairs of points, in float64.

    Args:
        points: float tensor of shape ``[N, F]``.
        columns: int64 tensor of shape ``[N, k]``, for each point those that it is multiplied with.

    Returns:
        float64 tensor of shape ``[N, k]``.

    Example:
        >>> import torch
        >>> pair_products(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1], [1]])).tolist()
        [[11.0], [25.0]]
    """
    products = sparse_rows(columns, torch.zeros(columns.shape, dtype=torch.float64, device=points.device))
    # A few columns at a time: points of float32 are held in float64 in parts only.
    for part in points.split(max(8, _FACTOR_BYTES // (8 * len(points))), dim=1):
        factor = part.double().contiguous()
        products = torch.sparse.sampled_addmm(products, factor, factor.T)
    return products.values().view(columns.shape)
