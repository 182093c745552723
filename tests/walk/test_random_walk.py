"""Both paths of the walk against dense float64 algebra and torch-geometric."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import APPNP

from monai_rwcp.walk import (
    KNNGraph,
    cell_centres,
    knn_graph,
    paper,
    random_walk,
    random_walk_on_edges,
    recommended,
    transition_weights,
)

SETTINGS = {"paper": paper(), "recommended": recommended()}


def dense_transition(
    found: KNNGraph, features: torch.Tensor, coordinates: torch.Tensor, settings: object
) -> torch.Tensor:
    """The transition matrix N x N in float64, from the features alone but for which neighbours were chosen."""
    rows = features.double()
    if settings.center:  # type: ignore[attr-defined]
        rows = rows - rows.mean(dim=0)
    rows = rows / rows.norm(dim=1, keepdim=True)
    g = settings.spatial_weight  # type: ignore[attr-defined]
    similarity = rows @ rows.T - g**2 / 2 * torch.cdist(coordinates, coordinates) ** 2
    n = len(rows)
    similarity.fill_diagonal_(-torch.inf)
    chosen = torch.zeros(n, n, dtype=torch.bool).scatter_(1, found.neighbors, True)
    assert torch.equal(chosen, torch.zeros_like(chosen).scatter_(1, similarity.topk(found.k, dim=1).indices, True))
    unnormalised = torch.where(chosen, torch.exp(settings.beta * similarity), 0.0)  # type: ignore[attr-defined]
    return unnormalised / unnormalised.sum(dim=1, keepdim=True)


@pytest.mark.parametrize("path", ["csr", "edges"])
@pytest.mark.parametrize("name", ["paper", "recommended"])
@pytest.mark.parametrize("shape", [(14, 13), (7, 6, 5)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_walk_is_the_power_of_the_transition_matrix(
    path: str, name: str, shape: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    settings = SETTINGS[name]
    generator = torch.Generator().manual_seed(3)
    coordinates = cell_centres(shape)
    n = len(coordinates)
    features = torch.randn(n, 32, generator=generator, dtype=dtype)
    start = torch.softmax(3 * torch.randn(n, 4, generator=generator, dtype=dtype), dim=1)
    vectors = features - features.mean(dim=0) if settings.center else features
    found = knn_graph(vectors, settings.k, coordinates=coordinates, spatial_weight=settings.spatial_weight)
    if path == "csr":
        weights = transition_weights(found.similarity, settings.beta)
        walked = random_walk(start, found, weights, settings.n_steps, settings.restart)
    else:
        edge_weight = found.edge_weight(settings.beta)
        walked = random_walk_on_edges(start, found.edge_index, edge_weight, settings.n_steps, settings.restart)
    transition = dense_transition(found, features, coordinates, settings)
    expected = start.double()
    for _ in range(settings.n_steps):
        expected = (1 - settings.restart) * transition @ expected + settings.restart * start.double()
    if settings.restart == 0:
        torch.testing.assert_close(torch.linalg.matrix_power(transition, settings.n_steps) @ start.double(), expected)
    assert walked.dtype == dtype
    assert (walked.double() - expected).abs().max() <= tolerance


@pytest.mark.parametrize("restart", [0.1, 0.5])
def test_long_restart_walk_reaches_its_closed_form(restart: float) -> None:
    found = knn_graph(torch.randn(80, 8, dtype=torch.float64), 5)
    weights = transition_weights(found.similarity, 20.0)
    start = torch.rand(80, 3, dtype=torch.float64)
    transition = torch.zeros(80, 80, dtype=torch.float64).scatter_(1, found.neighbors, weights)
    closed = restart * torch.linalg.solve(torch.eye(80, dtype=torch.float64) - (1 - restart) * transition, start)
    for walked in (
        random_walk(start, found, weights, 400, restart),
        random_walk_on_edges(start, found.edge_index, weights.flatten(), 400, restart),
    ):
        assert (walked - closed).abs().max() <= 1e-12


def test_walk_equals_torch_geometrics_appnp() -> None:
    found = knn_graph(torch.randn(50, 8, dtype=torch.float64), 4)
    weights = transition_weights(found.similarity, 10.0)
    start = torch.rand(50, 2, dtype=torch.float64)
    other = APPNP(K=7, alpha=0.3, normalize=False)(start, found.edge_index, weights.flatten())
    torch.testing.assert_close(random_walk(start, found, weights, 7, 0.3), other, rtol=0, atol=1e-12)


def test_start_is_not_changed_and_no_steps_give_a_copy() -> None:
    found = knn_graph(torch.randn(10, 3), 2)
    weights = transition_weights(found.similarity, 1.0)
    start = torch.rand(10, 2)
    kept = start.clone()
    random_walk(start, found, weights, 3, 0.5)
    still = random_walk(start, found, weights, 0)
    assert torch.equal(start, kept)
    assert torch.equal(still, start)
    assert still.data_ptr() != start.data_ptr()


@pytest.mark.parametrize("restart", [0.0, 0.3])
@pytest.mark.parametrize("path", ["csr", "edges"])
def test_one_walk_gives_the_states_of_many(path: str, restart: float) -> None:
    found = knn_graph(torch.randn(40, 3), 4)
    weights = transition_weights(found.similarity, 5.0)
    start = torch.rand(40, 3)

    def walk(n_steps: int, **more: object) -> torch.Tensor:
        if path == "csr":
            return random_walk(start, found, weights, n_steps, restart, **more)  # type: ignore[arg-type]
        return random_walk_on_edges(start, found.edge_index, weights.flatten(), n_steps, restart, **more)  # type: ignore[arg-type]

    asked = [7, 0, 1, 4, 4]
    states = walk(9, return_steps=asked)
    assert states.shape == (5, 40, 3)
    assert states.dtype == start.dtype
    for n_steps, state in zip(asked, states, strict=True):
        assert torch.equal(state, walk(n_steps))


@pytest.mark.parametrize("asked", [[], [4], [-1], [1.0], [True]])
def test_steps_that_are_not_walked_cannot_be_returned(asked: list) -> None:
    found = knn_graph(torch.randn(10, 3), 2)
    with pytest.raises(ValueError, match="return_steps.*from 0 to n_steps = 3"):
        random_walk(torch.rand(10, 2), found, transition_weights(found.similarity, 1.0), 3, return_steps=asked)


def test_any_graph_can_be_walked_along_its_edges() -> None:
    edge_index = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
    walked = random_walk_on_edges(
        torch.tensor([[1.0], [2.0], [4.0]]), edge_index, torch.tensor([0.5, 1.0, 1.0, 0.5]), n_steps=1
    )
    assert walked.flatten().tolist() == [4.0, 2.5, 2.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_steps": -1}, "n_steps"),
        ({"n_steps": 1.5}, "n_steps"),
        ({"restart": 1.0}, "restart"),
        ({"restart": -0.1}, "restart"),
        ({"x": torch.rand(9, 2)}, r"10 nodes.*\(9, 2\)"),
        ({"x": torch.rand(10, 2).half()}, "float16"),
        ({"weights": torch.rand(10, 3)}, r"\(10, 3\)"),
    ],
)
def test_bad_input_of_the_walk(change: dict, message: str) -> None:
    arguments = {"x": torch.rand(10, 2), "weights": torch.full((10, 2), 0.5), "n_steps": 1, "restart": 0.0, **change}
    with pytest.raises(ValueError, match=message):
        random_walk(graph=knn_graph(torch.randn(10, 3), 2), **arguments)


def test_bad_edges() -> None:
    with pytest.raises(ValueError, match="node numbers from 0 to 1"):
        random_walk_on_edges(torch.rand(2, 1), torch.tensor([[0], [2]]), torch.ones(1), 1)
    with pytest.raises(ValueError, match="edge_weight"):
        random_walk_on_edges(torch.rand(2, 1), torch.tensor([[0], [1]]), torch.ones(2), 1)
