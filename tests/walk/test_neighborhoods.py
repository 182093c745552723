"""Graphs on volumes: neighbours within a slice or a reach of slices, against brute force, in bounded memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_rwcp import Calibration, ConformalThresholdd, LossTable, RandomWalkDiffusiond, false_negative_rate_table
from monai_rwcp.conformal import calibrate
from monai_rwcp.provenance import completed_record, record_of
from monai_rwcp.walk import (
    Backend,
    WalkSettings,
    diffuse_probabilities,
    knn_graph,
    neighbor_search,
    random_walk,
    transition_weights,
)
from tests.helpers.companion import needs_companion


def brute_force(
    features: torch.Tensor, slices: torch.Tensor, reach: int | None, places: torch.Tensor, weight: float
) -> torch.Tensor:
    """Similarity of every pair in float64, -inf for a node itself and for pairs that lie too far apart."""
    z = features.double() / features.double().norm(dim=1, keepdim=True)
    n = len(z)
    result = torch.full((n, n), -torch.inf, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            if i != j and (reach is None or abs(int(slices[i]) - int(slices[j])) <= reach):
                result[i, j] = z[i] @ z[j] - weight**2 / 2 * (places[i] - places[j]).square().sum()
    return result


@pytest.mark.parametrize("reach", [0, 1, 3, 50])
@pytest.mark.parametrize("weight", [0.0, 2.0])
@pytest.mark.parametrize("order", ["stacked", "shuffled"])
def test_neighbors_are_those_of_brute_force(reach: int, weight: float, order: str) -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(70, 6, generator=generator, dtype=torch.float64)
    places = torch.rand(70, 3, generator=generator, dtype=torch.float64)
    # Slices of different sizes, one number left out.
    slices = torch.tensor([0] * 12 + [1] * 17 + [2] * 13 + [4] * 28)
    if order == "shuffled":
        slices = slices[torch.randperm(70, generator=generator)]
    found = knn_graph(features, 9, coordinates=places, spatial_weight=weight, slices=slices, slice_reach=reach)
    expected = brute_force(features, slices, reach, places, weight).topk(9, dim=1)
    assert torch.equal(found.neighbors, expected.indices)
    torch.testing.assert_close(found.similarity, expected.values, rtol=0, atol=1e-12)


def test_a_reach_over_all_slices_is_the_volume() -> None:
    features, slices = torch.randn(60, 5, dtype=torch.float64), torch.arange(60) % 6
    everywhere = knn_graph(features, 7)
    reached = knn_graph(features, 7, slices=slices, slice_reach=5)
    assert torch.equal(everywhere.neighbors, reached.neighbors)


def test_a_reach_of_any_size_is_the_volume() -> None:
    features, slices = torch.randn(60, 5, dtype=torch.float64), torch.arange(60) % 6
    everywhere = knn_graph(features, 7)
    for reach in (2**63 - 1, 10**30):
        assert torch.equal(knn_graph(features, 7, slices=slices, slice_reach=reach).neighbors, everywhere.neighbors)


def check_duplicates(reach: int, weight: float, backend: Backend) -> None:
    """Which of equal nodes is taken is open; how similar the neighbours are is not."""
    features, slices = torch.randn(4, 5, dtype=torch.float64).repeat(12, 1), torch.arange(48) % 4
    places = torch.rand(12, 3, dtype=torch.float64).repeat_interleave(4, dim=0)
    found = knn_graph(
        features, 6, coordinates=places, spatial_weight=weight, slices=slices, slice_reach=reach, backend=backend
    )
    assert not (found.neighbors == torch.arange(48).unsqueeze(1)).any()
    assert all(len(set(row)) == 6 for row in found.neighbors.tolist())
    assert ((slices[found.neighbors] - slices.unsqueeze(1)).abs() <= reach).all()
    expected = brute_force(features, slices, reach, places, weight).topk(6, dim=1).values
    torch.testing.assert_close(found.similarity, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("reach", [0, 1])
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_duplicated_features_leave_every_node_k_neighbours_in_reach(reach: int, weight: float) -> None:
    check_duplicates(reach, weight, "auto")


@pytest.mark.parametrize("reach", [0, 2])
def test_no_more_than_a_block_of_similarities_is_held(reach: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features, slices = torch.randn(400, 4), torch.arange(400) // 40
    whole = knn_graph(features, 5, slices=slices, slice_reach=reach)
    sizes: list[int] = []
    multiply = torch.mm

    def recorded(one: torch.Tensor, other: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        sizes.append(out.numel())
        return multiply(one, other, out=out)

    monkeypatch.setattr(torch, "mm", recorded)
    monkeypatch.setattr(neighbor_search, "_BLOCK_BYTES", 4 * 1000)
    blocked = knn_graph(features, 5, slices=slices, slice_reach=reach)
    assert torch.equal(whole.neighbors, blocked.neighbors)
    assert max(sizes) <= 1000
    # Each slice is compared with its own reach and nothing else; alone, two halves are compared once, not twice.
    in_reach = sum(40 * 40 * len([t for t in range(10) if abs(s - t) <= reach]) for s in range(10))
    assert sum(sizes) == (in_reach if reach else in_reach * 3 // 4)


SPACING = (0.5, 2.0, 3.0)


def dense_walk(
    probabilities: torch.Tensor, features: torch.Tensor, settings: WalkSettings, reach: int | None, axis: int
) -> torch.Tensor:
    """The walk with N x N matrices, on voxels of ``SPACING``; the longest axis of their centres has length 2."""
    shape = probabilities.shape[1:]
    axes = [torch.arange(n).double() * size for n, size in zip(shape, SPACING, strict=True)]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    places = places * 2 / max(float(a[-1]) for a in axes)
    slices = torch.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)]).expand(shape).reshape(-1)
    z = features.flatten(1).T.double()
    similarity = brute_force(z, slices, reach, places, settings.spatial_weight)
    values, indices = similarity.topk(settings.k, dim=1)
    transition = torch.zeros_like(similarity).scatter(1, indices, torch.softmax(settings.beta * values, dim=1))
    start = state = probabilities.flatten(1).T.double()
    for _ in range(settings.n_steps):
        state = (1 - settings.restart) * transition @ state + settings.restart * start
    return state.T.reshape(probabilities.shape)


@pytest.mark.parametrize(
    ("neighborhood", "reach"), [("volume", None), ("slice", 0), (("slices", 0), 0), (("slices", 1), 1)]
)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("weight", [0.0, 1.5])
def test_walked_volume_is_that_of_dense_algebra(neighborhood: Any, reach: int | None, axis: int, weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(2, 6, 5, 4, generator=generator, dtype=torch.float64)
    features = torch.randn(5, 6, 5, 4, generator=generator, dtype=torch.float64)
    for slice_axis in (axis, axis - 3):
        settings = WalkSettings(
            k=6,
            beta=9.0,
            n_steps=4,
            restart=0.3,
            spatial_weight=weight,
            neighborhood=neighborhood,
            slice_axis=slice_axis,
        )
        walked = diffuse_probabilities(probabilities, features, settings, spacing=SPACING)
        expected = dense_walk(probabilities, features, settings, reach, axis)
        torch.testing.assert_close(walked, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_walk_as_if_each_were_alone(axis: int) -> None:
    probabilities = torch.rand(3, 12, 10, 5, dtype=torch.float64).movedim(3, axis + 1)
    features = torch.randn(8, 6, 5, 5, dtype=torch.float64).movedim(3, axis + 1)
    strides = tuple(1 if a == axis else 2 for a in range(3))
    everywhere = WalkSettings(k=7, n_steps=3, grid=strides)
    volume = diffuse_probabilities(probabilities, features, replace(everywhere, neighborhood="slice", slice_axis=axis))
    alone = [
        diffuse_probabilities(p, f, WalkSettings(k=7, n_steps=3, grid=2))
        for p, f in zip(probabilities.unbind(axis + 1), features.unbind(axis + 1), strict=True)
    ]
    torch.testing.assert_close(volume, torch.stack(alone, dim=axis + 1), rtol=0, atol=1e-12)
    assert not torch.allclose(volume, diffuse_probabilities(probabilities, features, everywhere))


@needs_companion
@pytest.mark.parametrize("reach", [0, 1])
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_pyg_backend_with_duplicated_features_in_slices(reach: int, weight: float) -> None:
    check_duplicates(reach, weight, "pyg")


@needs_companion
@pytest.mark.parametrize("reach", [0, 1, 9])
@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_pyg_backend_finds_the_same_neighbours_in_slices(reach: int, weight: float) -> None:
    # In single precision two nodes can be alike up to rounding, which each search breaks its own way.
    features, places = torch.randn(300, 24, dtype=torch.float64), torch.rand(300, 2, dtype=torch.float64)
    slices = torch.arange(300) % 6
    options = {"coordinates": places, "spatial_weight": weight, "slices": slices, "slice_reach": reach}
    own, pyg = (knn_graph(features, 8, backend=b, **options) for b in ("auto", "pyg"))  # type: ignore[arg-type]
    assert [set(row) for row in own.neighbors.tolist()] == [set(row) for row in pyg.neighbors.tolist()]
    torch.testing.assert_close(own.similarity, pyg.similarity)


def test_a_calibration_read_from_json_knows_the_neighborhood(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    items = []
    for neighborhood in (("slices", 1), ["slices", 1], "slice"):
        walk = RandomWalkDiffusiond("pred", k=5, grid=(2, 2, 1), neighborhood=neighborhood)
        items += [
            walk({"pred": torch.rand(2, 8, 8, 3, generator=generator), "features": torch.randn(4, 4, 4, 3)})
            for _ in range(12)
        ]
    as_tuple, as_list, in_slice = items[0], items[12], items[24]
    tables = [
        false_negative_rate_table(
            item["pred"],
            (torch.rand(1, 8, 8, 3, generator=generator) < 0.3).long(),
            unit=str(i),
            provenance=completed_record(item["pred"], record_of(item, "pred")),
        )
        for i, item in enumerate(items[:12])
    ]
    calibration = calibrate(LossTable.join(tables), alpha=0.2)
    calibration.save(tmp_path / "c.json")
    assert Calibration.load(tmp_path / "c.json") == calibration
    assert json.loads((tmp_path / "c.json").read_text())["provenance"]["steps"][0]["settings"]["neighborhood"] == [
        "slices",
        1,
    ]
    for source in (calibration, tmp_path / "c.json"):
        threshold = ConformalThresholdd("pred", source)
        assert threshold(as_tuple)["pred_set"].shape == (2, 8, 8, 3)
        assert threshold(as_list)["pred_set"].shape == (2, 8, 8, 3)
        with pytest.raises(ValueError, match="walk.neighborhood is 'slice', but the calibration has"):
            threshold(in_slice)


def test_random_walk_on_slices_keeps_each_slice_to_itself() -> None:
    slices = torch.arange(40) // 10
    graph = knn_graph(torch.randn(40, 3), 4, slices=slices)
    start = (slices == 2).double().unsqueeze(1)
    walked = random_walk(start, graph, transition_weights(graph.similarity, 5.0), 8)
    torch.testing.assert_close(walked, start)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 5}, r"`k` .* in slice 0 and up to 0 slices away minus 1 \(4\), but got 5.*a larger reach of slices"),
        ({"k": 2, "slices": torch.tensor([3] * 18 + [7] * 2)}, r"in slice 7 .* \(1\), but got 2"),
        ({"slices": torch.zeros(9, dtype=torch.int64)}, r"`slices` int64 of shape \(20,\), but got torch.int64 \(9,\)"),
        ({"slices": torch.zeros(20)}, "but got torch.float32"),
        ({"slice_reach": -1}, "`slice_reach`"),
        ({"slice_reach": 1.5}, "`slice_reach`"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"k": 3, "slices": torch.arange(20) // 5, **change}
    with pytest.raises(ValueError, match=message):
        knn_graph(torch.randn(20, 3), **arguments)


def test_maps_of_images_have_no_slices() -> None:
    with pytest.raises(ValueError, match=r"neighborhood='slice', but got a map with 2 .* leave neighborhood"):
        diffuse_probabilities(torch.rand(1, 8, 8), torch.rand(2, 8, 8), WalkSettings(k=3, neighborhood="slice"))


def test_strides_for_another_number_of_axes() -> None:
    with pytest.raises(ValueError, match=r"`grid` with a stride for each of 2 spatial axes, got \(4, 4, 1\)"):
        diffuse_probabilities(torch.rand(1, 8, 8), torch.rand(2, 8, 8), WalkSettings(k=3, grid=(4, 4, 1)))
