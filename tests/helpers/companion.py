"""Whether torch-geometric's compiled companion is installed, which `backend="pyg"` needs."""

from __future__ import annotations

import pytest
import torch
import torch_geometric.nn

__all__ = ["HAS_COMPANION", "needs_companion"]


def _has_companion() -> bool:
    try:
        torch_geometric.nn.knn_graph(torch.rand(4, 2), 2)
    except ImportError:
        return False
    return True


HAS_COMPANION = _has_companion()
needs_companion = pytest.mark.skipif(
    not HAS_COMPANION, reason="torch_geometric.nn.knn_graph needs pyg-lib or torch-cluster"
)
