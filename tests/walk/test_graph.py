"""The exact nearest-neighbour graph against brute force."""

from __future__ import annotations

import pytest
import torch

from monai_rwcp.utils.older_versions import PRODUCTS_IN_FULL, product_precisions, set_product_precisions
from monai_rwcp.walk import KNNGraph, knn_graph, neighbor_search, transition_weights
from tests.helpers.companion import HAS_COMPANION, needs_companion
from tests.helpers.precisions import BF16, TF32


def brute_force(features: torch.Tensor, coordinates: torch.Tensor | None = None, weight: float = 0.0) -> torch.Tensor:
    """Similarity of every pair of nodes in float64, with -inf on the diagonal."""
    n = len(features)
    similarity = torch.full((n, n), -torch.inf, dtype=torch.float64)
    rows = features.double()
    for i in range(n):
        for j in range(n):
            if i != j:
                norm = rows[i].norm() * rows[j].norm()
                cosine = rows[i] @ rows[j] / norm if norm > 0 else 0.0
                away = 0.0 if coordinates is None else (coordinates[i] - coordinates[j]).double().square().sum()
                similarity[i, j] = cosine - weight**2 / 2 * away
    return similarity


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [0.0, 0.7, 3.0])
def test_neighbors_are_those_of_brute_force(dtype: torch.dtype, weight: float) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(60, 7, generator=generator, dtype=dtype)
    coordinates = torch.rand(60, 3, generator=generator, dtype=dtype) * 2 - 1
    found = knn_graph(features, 9, coordinates=coordinates, spatial_weight=weight)
    expected = brute_force(features, coordinates, weight).topk(9, dim=1)
    assert torch.equal(found.neighbors, expected.indices)
    tolerance = 2e-7 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(found.similarity, expected.values, rtol=0, atol=tolerance * (1 + weight**2))


def test_duplicated_features_leave_every_node_k_neighbours_and_never_itself() -> None:
    features = torch.randn(6, 5).repeat(8, 1)
    found = knn_graph(features, 5)
    assert found.neighbors.shape == (48, 5)
    assert not (found.neighbors == torch.arange(48).unsqueeze(1)).any()
    assert all(len(set(row)) == 5 for row in found.neighbors.tolist())
    expected = brute_force(features).topk(5, dim=1).values
    torch.testing.assert_close(found.similarity, expected, rtol=0, atol=3e-7)


def test_zero_feature_has_cosine_zero_with_all() -> None:
    features = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.1], [0.0, 0.0]])
    found = knn_graph(features, 3)
    assert found.similarity[0].tolist() == [0, 0, 0]
    assert found.similarity[1, :2].tolist() == [0, 0]
    assert found.neighbors[1, 2] == 2


def test_huge_and_tiny_features_are_normalised() -> None:
    features = torch.tensor([[1e30, 1e30], [1e-30, 1.1e-30], [1.0, -1.0]])
    assert knn_graph(features, 1).neighbors[:2].flatten().tolist() == [1, 0]


@pytest.mark.parametrize("weight", [0.0, 1.5])
@pytest.mark.parametrize(
    ("n", "k", "group", "longest"),
    [
        (101, 6, 8, 7),
        (300, 5, 2, 120),
        (331, 5, 2, 128),
        (331, 5, 2, 130),
        (257, 1, 8, 256),
        (640, 20, 3, 300),
        (90, 40, 2, 200),
    ],
)
def test_tiles_and_groups_change_nothing(
    n: int, k: int, group: int, longest: int, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = torch.randn(n, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    # Duplicates and a zero vector, spread over the tiles.
    features[::37], features[5] = features[3], 0
    places = torch.rand(n, 2, dtype=torch.float64)
    monkeypatch.setattr(neighbor_search, "_BLOCK_BYTES", 8 * longest**2)
    monkeypatch.setattr(neighbor_search, "_GROUP", group)
    monkeypatch.setattr(neighbor_search, "_ALIGNED", 16 * group)
    found = knn_graph(features, k, coordinates=places, spatial_weight=weight)
    z = torch.nn.functional.normalize(features, dim=1)
    similarity = z @ z.T - weight**2 / 2 * torch.cdist(places, places).square()
    torch.testing.assert_close(found.similarity, similarity.gather(1, found.neighbors), rtol=0, atol=1e-12)
    similarity.fill_diagonal_(-torch.inf)
    torch.testing.assert_close(found.similarity, similarity.topk(k, dim=1).values, rtol=0, atol=1e-12)
    assert not (found.neighbors == torch.arange(n).unsqueeze(1)).any()
    assert (found.neighbors.sort(dim=1).values.diff(dim=1) > 0).all()


@pytest.mark.parametrize("allowed", [TF32, BF16, PRODUCTS_IN_FULL])
def test_search_has_full_precision_and_leaves_the_users_setting(
    allowed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = product_precisions()
    seen = set()
    multiply = torch.mm

    def recorded(*matrices: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        seen.add(product_precisions())
        return multiply(*matrices, out=out)

    monkeypatch.setattr(torch, "mm", recorded)
    try:
        set_product_precisions(allowed)
        knn_graph(torch.randn(30, 4), 3)
        assert seen == {PRODUCTS_IN_FULL}
        with pytest.raises(ValueError, match="`k`"):
            knn_graph(torch.randn(30, 4), 30)
        assert product_precisions() == allowed
    finally:
        set_product_precisions(before)


def test_edges_follow_torch_geometrics_convention() -> None:
    found = knn_graph(torch.randn(20, 4), 3)
    dense = torch.zeros(20, 20, dtype=torch.float64)
    source, target = found.edge_index
    dense[target, source] = found.edge_weight(5.0)
    expected = torch.zeros(20, 20, dtype=torch.float64)
    for i in range(20):
        weights = torch.exp(5.0 * found.similarity[i])
        for j, w in zip(found.neighbors[i].tolist(), (weights / weights.sum()).tolist(), strict=True):
            expected[i, j] = w
    torch.testing.assert_close(dense, expected)


def test_transition_rows_sum_to_one_and_beta_zero_is_even() -> None:
    similarity = torch.randn(10, 4, dtype=torch.float64)
    torch.testing.assert_close(transition_weights(similarity, 50.0).sum(dim=1), torch.ones(10, dtype=torch.float64))
    assert torch.equal(transition_weights(similarity, 0.0), torch.full((10, 4), 0.25, dtype=torch.float64))


@pytest.mark.skipif(HAS_COMPANION, reason="the compiled companion of torch-geometric is installed")
def test_pyg_backend_says_what_to_install() -> None:
    with pytest.raises(ImportError, match=r"pyg-lib.*torch-cluster \(before 2\.8\)"):
        knn_graph(torch.randn(10, 3), 2, backend="pyg")


@needs_companion
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_pyg_backend_finds_the_same_neighbours(weight: float) -> None:
    # In single precision two nodes can be alike up to rounding, which each search breaks its own way.
    features, coordinates = torch.randn(300, 24, dtype=torch.float64), torch.rand(300, 2, dtype=torch.float64)
    own = knn_graph(features, 10, coordinates=coordinates, spatial_weight=weight)
    pyg = knn_graph(features, 10, coordinates=coordinates, spatial_weight=weight, backend="pyg")
    assert [set(row) for row in own.neighbors.tolist()] == [set(row) for row in pyg.neighbors.tolist()]
    torch.testing.assert_close(own.similarity, pyg.similarity)


@needs_companion
def test_pyg_backend_with_duplicated_features() -> None:
    features = torch.randn(5, 8).repeat(9, 1)
    own, pyg = knn_graph(features, 4), knn_graph(features, 4, backend="pyg")
    assert not (pyg.neighbors == torch.arange(45).unsqueeze(1)).any()
    torch.testing.assert_close(own.similarity, pyg.similarity, rtol=0, atol=1e-6)


def test_pyg_backend_refuses_zero_features() -> None:
    features = torch.randn(10, 3)
    features[4] = 0
    with pytest.raises(ValueError, match=r'zero\. Use backend="auto"'):
        knn_graph(features, 2, backend="pyg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 10}, r"`k` to be an integer from 1 to .* \(9\), but got 10"),
        ({"k": 0}, "but got 0"),
        ({"features": torch.full((10, 3), torch.nan)}, "NaN or infinite"),
        ({"features": torch.full((10, 3), torch.inf)}, "NaN or infinite"),
        ({"features": torch.ones(10, 3, dtype=torch.int64)}, "float tensor"),
        ({"features": torch.ones(2, 10, 3)}, r"\(2, 10, 3\)"),
        ({"backend": "faiss"}, "faiss"),
        ({"spatial_weight": 1.0}, "coordinates"),
        ({"spatial_weight": 1.0, "coordinates": torch.ones(9, 2)}, r"\(9, 2\)"),
        ({"spatial_weight": -1.0}, "spatial_weight"),
    ],
)
def test_bad_input(change: dict, message: str) -> None:
    arguments = {"features": torch.randn(10, 3), "k": 3, **change}
    with pytest.raises(ValueError, match=message):
        knn_graph(arguments.pop("features"), arguments.pop("k"), **arguments)


def test_bad_beta() -> None:
    with pytest.raises(ValueError, match="beta"):
        transition_weights(torch.ones(3, 2), -1.0)


@pytest.mark.parametrize(
    "neighbors", [torch.tensor([[1], [2]]), torch.tensor([[1], [-1]]), torch.tensor([[1.0], [0.0]])]
)
def test_graph_with_impossible_neighbours(neighbors: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="Expected"):
        KNNGraph(neighbors, torch.ones(2, 1))
