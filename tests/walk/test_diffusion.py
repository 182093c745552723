"""The whole walk of one image against a dense re-implementation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from monai_rwcp.walk import WalkSettings, diffuse_probabilities, keep_peaks, paper, recommended


def dense_walk(
    probabilities: torch.Tensor,
    features: torch.Tensor,
    s: WalkSettings,
    nodes: tuple[int, ...],
    spacing: tuple[float, ...],
) -> torch.Tensor:
    """The method of the paper with N x N matrices and torch's own resampling, for whole ratios of sizes."""

    def to_nodes(x: torch.Tensor) -> torch.Tensor:
        down = all(a >= b for a, b in zip(x.shape[1:], nodes, strict=True))
        linear = "bilinear" if len(nodes) == 2 else "trilinear"
        options = {"mode": "area"} if down else {"mode": linear, "align_corners": False}
        return F.interpolate(x[None].double(), nodes, **options)[0].flatten(1).T  # type: ignore[arg-type]

    start, z = to_nodes(probabilities), to_nodes(features)
    if s.center:
        z = z - z.mean(dim=0)
    z = z / z.norm(dim=1, keepdim=True)
    axes = [
        (torch.arange(n).double() + 0.5) * (size * mm / n)
        for n, size, mm in zip(nodes, probabilities.shape[1:], spacing, strict=True)
    ]
    longest = max(float(a[-1] - a[0]) for a in axes)
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(nodes)) * 2 / longest
    similarity = z @ z.T - s.spatial_weight**2 / 2 * torch.cdist(places, places).square()
    similarity.fill_diagonal_(-torch.inf)
    kept = torch.full_like(similarity, -torch.inf)
    values, indices = similarity.topk(s.k, dim=1)
    transition = torch.softmax(s.beta * kept.scatter(1, indices, values), dim=1)
    state = start
    for _ in range(s.n_steps):
        state = (1 - s.restart) * transition @ state + s.restart * start
    linear = "bilinear" if len(nodes) == 2 else "trilinear"
    walked = state.T.reshape(1, -1, *nodes)
    if walked.shape[2:] != probabilities.shape[1:]:
        walked = F.interpolate(walked, probabilities.shape[1:], mode=linear, align_corners=False)
    if s.keep_peak:
        for before, after in zip(probabilities, walked[0], strict=True):
            after *= float(before.max()) / after.max()
    return walked[0]


@pytest.mark.parametrize(
    "settings",
    [paper(), replace(recommended(), k=12), replace(recommended(), k=12, keep_peak=True)],
    ids=["paper", "recommended", "keep_peak"],
)
@pytest.mark.parametrize(
    ("shape", "cells", "spacing"),
    [((24, 16), (12, 8), (1.0, 1.0)), ((24, 16), (6, 4), (0.7, 2.0)), ((8, 12, 4), (4, 6, 4), (1.0, 1.0, 5.0))],
)
@pytest.mark.parametrize(("grid", "stride"), [("features", None), ("map", 1), (2, 2)])
def test_equals_the_dense_walk(
    settings: WalkSettings, shape: tuple, cells: tuple, spacing: tuple, grid: object, stride: int | None
) -> None:
    settings = replace(settings, grid=grid)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(5)
    probabilities = torch.softmax(torch.randn(3, *shape, generator=generator, dtype=torch.float64), dim=0)
    features = torch.randn(10, *cells, generator=generator, dtype=torch.float64)
    nodes = cells if stride is None else tuple(n // stride for n in shape)
    if any(a > b for a, b in zip(nodes, cells, strict=True)) and any(a < b for a, b in zip(nodes, cells, strict=True)):
        pytest.skip("torch cannot shrink one axis and grow another in one call")
    if settings.spatial_weight == 0 and any(a > 2 * b for a, b in zip(nodes, cells, strict=True)):
        pytest.skip("edge values are held, so the outermost nodes are tied and their neighbours arbitrary")
    walked = diffuse_probabilities(probabilities, features, settings, spacing=spacing)
    expected = dense_walk(probabilities, features, settings, nodes, spacing)
    torch.testing.assert_close(walked, expected, rtol=0, atol=1e-11)
    single = diffuse_probabilities(probabilities.float(), features.float(), settings, spacing=spacing)
    assert single.dtype == torch.float32


def test_probabilities_still_sum_to_one_and_inputs_are_kept() -> None:
    probabilities = torch.softmax(4 * torch.randn(4, 32, 32), dim=0)
    features = torch.randn(6, 8, 8)
    kept = probabilities.clone(), features.clone()
    walked = diffuse_probabilities(probabilities, features, recommended())
    torch.testing.assert_close(walked.sum(dim=0), torch.ones(32, 32), rtol=0, atol=1e-5)
    assert torch.equal(probabilities, kept[0])
    assert torch.equal(features, kept[1])
    assert torch.equal(walked, diffuse_probabilities(probabilities, features, recommended()))


def test_kept_peaks_are_those_of_the_map_and_zeros_stay() -> None:
    probabilities = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(3))
    probabilities[1] = 0
    probabilities[2] *= 0.01
    settings = replace(paper(), k=5, keep_peak=True)
    walked = diffuse_probabilities(probabilities, torch.rand(4, 8, 8), settings)
    torch.testing.assert_close(walked.amax((1, 2)), probabilities.amax((1, 2)))
    assert not walked[1].any()
    # Scaled, not moved: voxels keep their order.
    plain = diffuse_probabilities(probabilities, torch.rand(4, 8, 8), replace(settings, n_steps=0))
    assert torch.equal(keep_peaks(plain, probabilities)[0].flatten().argsort(), plain[0].flatten().argsort())


def test_half_precision_is_walked_in_single_and_kept() -> None:
    probabilities = torch.softmax(torch.randn(2, 16, 16), dim=0).half()
    features = torch.randn(4, 8, 8).half()
    walked = diffuse_probabilities(probabilities, features, paper())
    single = diffuse_probabilities(probabilities.float(), features.float(), paper())
    assert torch.equal(walked, single.half())


def test_no_steps_on_the_map_grid_change_nothing() -> None:
    probabilities = torch.rand(2, 6, 6)
    walked = diffuse_probabilities(probabilities, torch.randn(3, 3, 3), WalkSettings(k=2, n_steps=0, grid="map"))
    assert torch.equal(walked, probabilities)


GOOD = torch.full((2, 8, 8), 0.5)


@pytest.mark.parametrize(
    ("probabilities", "features", "message"),
    [
        (GOOD * torch.nan, torch.rand(3, 4, 4), "finite values in `probabilities`"),
        (GOOD, torch.rand(3, 4, 4) / 0, "finite `features`"),
        (GOOD * 4, torch.rand(3, 4, 4), r"ranges from 2 to 2.*numbers of classes"),
        (GOOD - 1, torch.rand(3, 4, 4), "logits"),
        (GOOD, torch.rand(3, 4, 4, 4), "same number of spatial axes"),
        (GOOD, torch.rand(3, 9, 4), r"\(9, 4\).*\(8, 8\).*Invertd"),
        (GOOD, torch.rand(3, 2, 2), "Use a smaller k or a finer graph grid"),
        (GOOD[None, None], torch.rand(3, 4, 4), "without a batch dimension"),
        ((GOOD > 0).int(), torch.rand(3, 4, 4), "float tensor"),
    ],
)
def test_bad_maps(probabilities: torch.Tensor, features: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diffuse_probabilities(probabilities, features, WalkSettings(k=4))
