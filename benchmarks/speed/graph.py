"""The exact graph of nearest neighbours beside libraries that can build it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.common.timing import Row, gpu_peak_memory, interleaved, peak_memory, rows_of
from monai_rwcp.walk import KNNGraph, knn_graph, resample_to_grid
from monai_rwcp.walk.graph_building import build_graph

SIDES = (28, 56, 112, 224)
K = 20
_OURS, _OURS_GENERIC = "monai_rwcp", "monai_rwcp, cells unknown"
# The slow peers are left out above this number of nodes.
_MOST_FOR_SLOW_PEERS = 112**2


def graph_rows(cells: torch.Tensor | None, device: str, rate: float, step: Callable[[str], None]) -> Iterator[Row]:
    """Measure every size: on features interpolated from ``cells`` [F, height, width], and on random ones.

    Args:
        cells: feature map of a real image; None measures random features only.
        device: "cpu" or "cuda".
        rate: floating point operations a second, for the floor.
        step: is told what is measured now.
    """
    kinds = [("random", 384), ("random", 1024)]
    kinds.insert(0, ("random", 256) if cells is None else ("LiteMedSAM", cells.shape[0]))
    for kind, n_features in kinds:
        for side in SIDES:
            real = cells if kind == "LiteMedSAM" else None
            step(f"graph: {kind}, F = {n_features}, N = {side * side}")
            yield from _rows(real, n_features, side, device, rate)


def _rows(cells: torch.Tensor | None, n_features: int, side: int, device: str, rate: float) -> Iterator[Row]:
    n = side * side
    features, coarse = _features(cells, n_features, side)
    features, coarse = features.to(device), None if coarse is None else coarse.to(device)
    fast, slow = (3, 1) if n > _MOST_FOR_SLOW_PEERS else (5, 1) if n > 3136 else (9, 3)
    methods: dict[str, tuple[Callable[[], Any], int]] = {_OURS: (lambda: _ours(features, coarse, side), fast)}
    if coarse is not None and n > _MOST_FOR_SLOW_PEERS:
        methods[_OURS_GENERIC] = (lambda: _ours(features, None, side), fast)
    peers = {} if device == "cuda" else {"faiss IndexFlatIP": (lambda: _faiss(features), fast)}
    methods |= peers | {"blocked product and top-k": (lambda: _naive(features), 1 if n > 3136 else fast)}
    if device == "cuda":
        z = F.normalize(features, dim=1)
        methods["matrix product alone"] = (lambda: _products(z), fast)
    elif n <= _MOST_FOR_SLOW_PEERS:
        methods |= {
            "torch_geometric knn_graph": (lambda: _torch_geometric(features), slow),
            "scikit-learn": (lambda: _scikit_learn(features), slow),
            "pynndescent (approximate)": (lambda: _pynndescent(features), slow),
        }
    seconds = interleaved(methods, device)
    notes = _agreement(features, coarse, side, tuple(methods))
    peaks = {}
    if device == "cuda":
        peaks = {name: gpu_peak_memory(function) for name, (function, _) in methods.items()}
    elif n > _MOST_FOR_SLOW_PEERS:
        for name in seconds:
            peaks[name] = peak_memory(_prepared, name, cells, n_features, side)
    kind = "random" if cells is None else "LiteMedSAM"
    yield from rows_of("graph", f"{kind}, F = {n_features}", n, seconds, 2 * n * n * n_features / rate, peaks, notes)


def _features(cells: torch.Tensor | None, n_features: int, side: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    if cells is None:
        return torch.randn(side * side, n_features, generator=torch.Generator().manual_seed(side)), None
    return resample_to_grid(cells, (side, side)).flatten(1).T.contiguous(), cells


def _prepared(name: str, cells: torch.Tensor | None, n_features: int, side: int) -> Callable[[], Any]:
    features, coarse = _features(cells, n_features, side)
    calls = {
        _OURS: lambda: _ours(features, coarse, side),
        _OURS_GENERIC: lambda: _ours(features, None, side),
        "faiss IndexFlatIP": lambda: _faiss(features),
        "blocked product and top-k": lambda: _naive(features),
    }
    # Libraries are loaded before the watch begins.
    knn_graph(torch.randn(200, 8), 3)
    _faiss(torch.randn(200, 8))
    return calls[name]


def _ours(features: torch.Tensor, coarse: torch.Tensor | None, side: int) -> KNNGraph:
    return build_graph(features, K, interpolated_from=None if coarse is None else (coarse, (side, side)))


def _faiss(features: torch.Tensor) -> tuple[Any, Any]:
    import faiss

    z = F.normalize(features, dim=1).numpy()
    index = faiss.IndexFlatIP(z.shape[1])
    index.add(z)
    return index.search(z, K + 1)


def _naive(features: torch.Tensor) -> torch.Tensor:
    z = F.normalize(features, dim=1)
    return torch.cat([(rows @ z.T).topk(K + 1, dim=1).indices for rows in z.split(1024)])


def _products(z: torch.Tensor) -> None:
    for rows in z.split(4096):
        rows @ z.T


def _torch_geometric(features: torch.Tensor) -> torch.Tensor:
    from torch_geometric.nn import knn_graph as torch_geometric_knn_graph

    return torch_geometric_knn_graph(F.normalize(features, dim=1), K)


def _scikit_learn(features: torch.Tensor) -> Any:
    from sklearn.neighbors import kneighbors_graph

    return kneighbors_graph(F.normalize(features, dim=1).numpy(), K, mode="distance", n_jobs=-1)


def _pynndescent(features: torch.Tensor) -> Any:
    from pynndescent import NNDescent

    return NNDescent(features.numpy(), metric="cosine", n_neighbors=K + 1, random_state=0).neighbor_graph[0]


def _agreement(
    features: torch.Tensor, coarse: torch.Tensor | None, side: int, methods: tuple[str, ...]
) -> dict[str, str]:
    """What each method found, against products in float64 of up to 2,000 nodes with all."""
    chosen = torch.linspace(0, len(features) - 1, min(2000, len(features))).long()
    z = F.normalize(features.double(), dim=1)
    similarity = z[chosen] @ z.T
    similarity[torch.arange(len(chosen)), chosen] = -torch.inf
    expected = similarity.topk(K, dim=1).values
    notes = {}
    for name, values in ((_OURS, coarse), (_OURS_GENERIC, None)):
        if name in methods:
            found = _ours(features, values, side).similarity[chosen]
            notes[name] = f"similarities differ by {float((found - expected).abs().max()):.0e} from float64"
    if "pynndescent (approximate)" in methods:
        found = similarity.gather(1, torch.from_numpy(_pynndescent(features))[chosen].long())
        recall = (found >= expected[:, -1:] - 1e-6).double().sum() / math.prod(expected.shape)
        notes["pynndescent (approximate)"] = f"recall {float(recall):.3f}"
    return notes


def warm_up() -> float:
    """Let pynndescent compile, which it does once a process; seconds it took."""
    start = time.perf_counter()
    _pynndescent(torch.randn(500, 16))
    return time.perf_counter() - start
