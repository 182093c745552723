"""The walk beside other ways to multiply a sparse matrix, all in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.common.timing import Row, interleaved, rows_of
from benchmarks.speed.graph import SIDES, K
from monai_rwcp.walk import KNNGraph, WalkSettings, random_walk, random_walk_on_edges, transition_weights
from monai_rwcp.walk.image_graph import image_graph

CLASSES = (1, 4, 15)
STEPS = 10


def walk_rows(cells: torch.Tensor | None, device: str, rate: float, step: Callable[[str], None]) -> Iterator[Row]:
    """Measure ten steps at every size and number of classes.

    Args:
        cells: feature map [F, height, width] whose graph is walked; None takes neighbours at random.
        device: "cpu" or "cuda".
        rate: bytes a second of a copy, for the floor.
        step: is told what is measured now.
    """
    for side in SIDES:
        graph = _graph(cells, side, device)
        weights = transition_weights(graph.similarity, 50.0)
        for classes in CLASSES:
            step(f"walk: N = {side * side}, C = {classes}")
            yield from _rows(graph, weights, classes, device, rate)


def _rows(graph: KNNGraph, weights: torch.Tensor, classes: int, device: str, rate: float) -> Iterator[Row]:
    n = graph.n_nodes
    x = torch.rand(n, classes, dtype=torch.float64, device=device)
    edge_index, edge_weight = graph.edge_index, weights.flatten()
    start = torch.arange(0, n * K + 1, K, device=device)
    matrix = torch.sparse_csr_tensor(start, graph.neighbors.flatten(), edge_weight, (n, n), check_invariants=False)
    repeats = 9 if n <= 12544 else 5
    methods: dict[str, tuple[Callable[[], Any], int]] = {
        "monai_rwcp": (lambda: random_walk(x, graph, weights, STEPS), repeats),
        "monai_rwcp, float32": (lambda: random_walk(x.float(), graph, weights.float(), STEPS), repeats),
        "torch CSR": (lambda: _repeat(matrix, x), repeats),
        "torch-geometric scatter": (lambda: random_walk_on_edges(x, edge_index, edge_weight, STEPS), repeats),
        "torch-geometric APPNP": (lambda: _appnp(x, edge_index, edge_weight), repeats),
        "torch-geometric spmm": (lambda: _spmm(matrix, x), repeats),
    }
    if device == "cpu":
        methods["scipy CSR"] = (_scipy(graph, weights, x), repeats)
    seconds = interleaved(methods, device)
    expected = methods["monai_rwcp"][0]()
    notes = {}
    for name, (function, _) in methods.items():
        difference = (torch.as_tensor(function()).to(expected) - expected).abs().max()
        if name != "monai_rwcp":
            notes[name] = f"differs by {float(difference):.0e}"
    # Every step reads each edge's number and weight and the state at its source, and writes the new state.
    edge_bytes, state_bytes = n * K * (4 + 8), n * classes * 8
    floor = STEPS * (edge_bytes + state_bytes * (K + 1)) / rate
    yield from rows_of("walk", f"C = {classes}", n, seconds, floor, notes=notes)


def _graph(cells: torch.Tensor | None, side: int, device: str) -> KNNGraph:
    n = side * side
    if cells is None:
        generator = torch.Generator().manual_seed(side)
        neighbors = torch.randint(0, n, (n, K), generator=generator)
        similarity = torch.rand(n, K, generator=generator, dtype=torch.float64)
        return KNNGraph(neighbors.to(device), similarity.to(device))
    return image_graph(cells.to(device), (side, side), WalkSettings(k=K, grid="map"))


def _repeat(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    for _ in range(STEPS):
        x = matrix @ x
    return x


def _appnp(x: torch.Tensor, edge_index: torch.Tensor, edge_weight: torch.Tensor) -> torch.Tensor:
    from torch_geometric.nn import APPNP

    return APPNP(K=STEPS, alpha=0.0, normalize=False)(x, edge_index, edge_weight)


def _spmm(matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    from torch_geometric.utils import spmm

    for _ in range(STEPS):
        x = spmm(matrix, x)
    return x


def _scipy(graph: KNNGraph, weights: torch.Tensor, x: torch.Tensor) -> Callable[[], Any]:
    from scipy.sparse import csr_matrix

    n = graph.n_nodes
    entries = (weights.flatten().numpy(), graph.neighbors.flatten().numpy(), range(0, n * K + 1, K))
    matrix, start = csr_matrix(entries, shape=(n, n)), x.numpy()

    def walk() -> Any:
        state = start
        for _ in range(STEPS):
            state = matrix @ state
        return state

    return walk
