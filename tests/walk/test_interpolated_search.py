"""The search among interpolated features finds what a full search finds, whatever the features."""

from __future__ import annotations

import math

import pytest
import torch

from monai_rwcp.walk import (
    WalkSettings,
    cell_centres,
    diffuse_probabilities,
    interpolated_search,
    knn_graph,
    resample_to_grid,
)
from monai_rwcp.walk.image_graph import image_graph
from monai_rwcp.walk.interpolated_search import search_pays


def smooth(shape: tuple[int, ...], n_features: int = 12, seed: int = 0) -> torch.Tensor:
    """Features that change slowly, as a network's do."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(n_features, *[max(2, n // 4) for n in shape], generator=generator)
    return resample_to_grid(coarse, shape) + 0.1 * torch.randn(n_features, *shape, generator=generator)


def flat_background(shape: tuple[int, ...]) -> torch.Tensor:
    """A quarter of the cells are the same, another quarter zero."""
    features = smooth(shape)
    features[:, : shape[0] // 4] = 1
    features[:, -(shape[0] // 4) :] = 0
    return features


def opposite(shape: tuple[int, ...]) -> torch.Tensor:
    """Signs change from cell to cell, so that features between the centres nearly cancel."""
    checks = sum(torch.meshgrid(*[torch.arange(n) for n in shape], indexing="ij")) % 2
    return smooth(shape) * (1 - 2.0 * checks)


def check_same(features: torch.Tensor, nodes: tuple[int, ...], k: int, weight: float = 0.0) -> None:
    vectors = resample_to_grid(features, nodes).flatten(1).T
    places = cell_centres(nodes)
    fast = image_graph(features, nodes, WalkSettings(k=k, spatial_weight=weight, grid="map"))
    # Brute force in float64, with nothing left out.
    z = torch.nn.functional.normalize(vectors.double(), dim=1)
    expected = torch.empty(len(z), k, dtype=torch.float64)
    for rows in torch.arange(len(z)).split(500):
        similarity = z[rows] @ z.T - weight**2 / 2 * torch.cdist(places[rows], places).square()
        similarity[torch.arange(len(rows)), rows] = -torch.inf
        expected[rows] = similarity.topk(k, dim=1).values
    tolerance = 2e-6 if features.dtype == torch.float32 else 1e-12
    torch.testing.assert_close(fast.similarity, expected, rtol=0, atol=tolerance * (1 + weight**2))
    assert not (fast.neighbors == torch.arange(len(z)).unsqueeze(1)).any()
    assert (fast.neighbors.sort(dim=1).values.diff(dim=1) > 0).all()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Few searched blocks, so that small grids are large enough; the sizes of the full searches it leads to."""
    monkeypatch.setattr(interpolated_search, "_SEARCHED_BLOCKS", 24)
    sizes: list[int] = []
    full = interpolated_search.search_rows

    def recorded(z: torch.Tensor, position: torch.Tensor | None, k: int, rows: torch.Tensor) -> torch.Tensor:
        sizes.append(len(rows))
        return full(z, position, k, rows)

    monkeypatch.setattr(interpolated_search, "search_rows", recorded)
    return sizes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [0.0, 0.7, 3.0])
@pytest.mark.parametrize(
    ("cells", "nodes", "searched"),
    [
        ((16, 16), (56, 56), 24),
        ((16, 12), (37, 61), 36),
        ((12, 16), (48, 32), 36),
        ((6, 7, 6), (13, 16, 12), 90),
        ((10, 6, 8), (20, 24, 8), 120),
    ],
)
def test_equals_brute_force(
    dtype: torch.dtype,
    weight: float,
    cells: tuple[int, ...],
    nodes: tuple[int, ...],
    searched: int,
    calls: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interpolated_search, "_SEARCHED_BLOCKS", searched)
    assert search_pays(cells, nodes, 8)
    check_same(smooth(cells).to(dtype), nodes, 8, weight)
    # It is the blocks that were searched, not everything.
    assert sum(calls) < 0.5 * math.prod(nodes)


@pytest.mark.parametrize("make", [flat_background, opposite])
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_awkward_features(make, weight: float, calls: list[int]) -> None:  # type: ignore[no-untyped-def]
    check_same(make((16, 16)), (45, 60), 9, weight)


def test_features_without_any_order(calls: list[int]) -> None:
    check_same(torch.randn(30, 16, 16, generator=torch.Generator().manual_seed(4)), (40, 48), 12)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_huge_and_tiny_features(scale: float, calls: list[int]) -> None:
    features = smooth((16, 16)) * scale
    nodes = (48, 48)
    vectors = resample_to_grid(features, nodes).flatten(1).T
    fast = image_graph(features, nodes, WalkSettings(k=6, grid="map"))
    torch.testing.assert_close(fast.similarity, knn_graph(vectors, 6).similarity, rtol=0, atol=1e-6)
    assert sum(calls) < 48 * 48


def test_cells_that_nearly_vanish_are_searched_in_full(calls: list[int]) -> None:
    features = smooth((16, 16))
    features[:, 8:] *= 1e-7
    nodes = (48, 48)
    vectors = resample_to_grid(features, nodes).flatten(1).T
    fast = image_graph(features, nodes, WalkSettings(k=6, grid="map"))
    torch.testing.assert_close(fast.similarity, knn_graph(vectors, 6).similarity, rtol=0, atol=1e-6)
    assert calls == [48 * 48]


def test_blocks_change_nothing(calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    features, nodes = smooth((16, 16)), (50, 44)
    whole = image_graph(features, nodes, WalkSettings(k=7, grid="map"))
    monkeypatch.setattr(interpolated_search, "_BLOCK_BYTES", 1)
    single = image_graph(features, nodes, WalkSettings(k=7, grid="map"))
    torch.testing.assert_close(whole.similarity, single.similarity, rtol=0, atol=1e-6)


def test_the_walk_uses_it_and_gives_the_same(calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    features = smooth((16, 16)) + 3
    probabilities = torch.softmax(torch.randn(3, 60, 60, generator=torch.Generator().manual_seed(0)), dim=0)
    settings = WalkSettings(k=8, center=True, spatial_weight=1.0, grid="map", restart=0.2)
    used = []
    search = interpolated_search.search_interpolated
    monkeypatch.setattr(
        "monai_rwcp.walk.graph_building.search_interpolated", lambda *a: (used.append(1), search(*a))[1]
    )
    fast = diffuse_probabilities(probabilities, features, settings)
    assert used
    monkeypatch.setattr("monai_rwcp.walk.graph_building.search_pays", lambda cells, nodes, k: False)
    torch.testing.assert_close(fast, diffuse_probabilities(probabilities, features, settings), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("cells", "nodes", "expected"),
    [
        ((64, 64), (224, 224), True),
        ((64, 64), (64, 64), False),
        ((64, 64), (100, 100), False),
        ((64, 64), (500, 60), False),
        ((8, 8), (224, 224), False),
        ((128, 128), (512, 512), False),
        ((16, 16, 16), (32, 32, 32), True),
    ],
)
def test_when_it_pays(cells: tuple[int, ...], nodes: tuple[int, ...], expected: bool) -> None:
    assert search_pays(cells, nodes, 20) is expected
