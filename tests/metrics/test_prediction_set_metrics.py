"""Where MONAI's distances are easily misread: the image's border, full sets, the crop, spacing, and pooled counts."""

from __future__ import annotations

import math

import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance

from monai_rwcp.metrics import SetMetrics, pooled_false_negative_rate, prediction_set_metrics


def block(shape: tuple[int, ...], *ranges: tuple[int, int]) -> torch.Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[tuple(slice(a, b) for a, b in ranges)] = True
    return mask


def distances(figures: SetMetrics) -> tuple[float, float]:
    return figures.average_surface_distance, figures.hausdorff_distance_95


@pytest.mark.parametrize("spacing", [None, (1.5, 0.5, 4.0)])
def test_the_crop_changes_no_bit(spacing: tuple[float, ...] | None) -> None:
    shape = (20, 17, 9)
    generator = torch.Generator().manual_seed(0)
    for ranges in ([(6, 12), (5, 9), (3, 6)], [(0, 7), (9, 17), (0, 9)], [(0, 20), (0, 17), (0, 9)]):
        inside = block(shape, *ranges)
        found = inside & (torch.rand(shape, generator=generator) < 0.7)
        truth = inside & (torch.rand(shape, generator=generator) < 0.3)
        whole = [m[None, None] for m in (found, truth)]
        size = None if spacing is None else list(spacing)
        average = compute_average_surface_distance(*whole, include_background=True, symmetric=True, spacing=size)
        hausdorff = compute_hausdorff_distance(*whole, include_background=True, percentile=95, spacing=size)
        assert distances(prediction_set_metrics(found, truth, spacing=spacing)) == (float(average), float(hausdorff))


def test_a_full_set_has_the_images_border_as_its_surface() -> None:
    truth = block((5, 5), (2, 3), (2, 3))
    figures = prediction_set_metrics(torch.ones(5, 5), truth)
    # Sixteen border pixels: four at distance 2, eight at sqrt(5), four at sqrt(8); the truth's one pixel at 2.
    expected = (4 * 2 + 8 * math.sqrt(5) + 4 * math.sqrt(8) + 2) / 17
    assert figures.average_surface_distance == pytest.approx(expected, rel=1e-6)
    assert figures.hausdorff_distance_95 == pytest.approx(math.sqrt(8), rel=1e-6)
    assert (figures.false_negative_rate, figures.stretch, figures.components) == (0, 25, 1)
    assert distances(prediction_set_metrics(torch.ones(4, 4, 4), torch.ones(4, 4, 4))) == (0, 0)


def test_truth_at_the_border_counts_its_pixels_there() -> None:
    corner, inner = block((9, 9), (0, 3), (0, 3)), block((9, 9), (3, 6), (3, 6))
    truth_in_corner = prediction_set_metrics(block((9, 9), (0, 4), (0, 3)), corner)
    truth_inside = prediction_set_metrics(block((9, 9), (3, 7), (3, 6)), inner)
    assert distances(truth_in_corner) == distances(truth_inside)


def test_spacing_scales_each_axis_and_may_mix_int_and_float() -> None:
    one, other = block((6, 6, 6), (1, 2), (1, 2), (1, 2)), block((6, 6, 6), (1, 2), (1, 2), (4, 5))
    assert distances(prediction_set_metrics(one, other)) == (3, 3)
    assert distances(prediction_set_metrics(one, other, spacing=(1, 1.5, 4))) == (12, 12)
    assert distances(prediction_set_metrics(one, other, spacing=torch.tensor([1.0, 1.5, 4.0]).tolist())) == (12, 12)


@pytest.mark.parametrize("spacing", [(0, 1), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_impossible_spacing_is_refused(spacing: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="each above 0 and finite"):
        prediction_set_metrics(torch.ones(2, 2), torch.ones(2, 2), spacing=spacing)


def test_nan_is_no_mask() -> None:
    with pytest.raises(ValueError, match=r"`truth` to hold zeros and ones.*Threshold a score first"):
        prediction_set_metrics(torch.ones(2, 2), torch.full((2, 2), math.nan))


def test_voxels_that_share_only_an_edge_are_two_components() -> None:
    diagonal = torch.zeros(3, 3, 3)
    diagonal[0, 0, 0] = diagonal[0, 1, 1] = 1
    assert prediction_set_metrics(diagonal, torch.zeros(3, 3, 3)).components == 2


def test_any_dtype_of_zeros_and_ones_gives_the_same_figures() -> None:
    found, truth = block((8, 8), (1, 6), (2, 5)), block((8, 8), (2, 7), (2, 6))
    expected = prediction_set_metrics(found, truth)
    for dtype in (torch.uint8, torch.int64, torch.float16, torch.float64):
        assert prediction_set_metrics(found.to(dtype), truth.to(dtype)) == expected


def test_pooled_rate_weighs_voxels_and_not_images() -> None:
    assert pooled_false_negative_rate([10, 0, 0], [20, 80, 0]) == 0.1
    assert math.isnan(pooled_false_negative_rate([0, 0], [0, 0]))
    assert math.isnan(pooled_false_negative_rate([], []))


@pytest.mark.parametrize(("missed", "true"), [([1], [1, 2]), ([3], [2]), ([-1], [2])])
def test_counts_that_do_not_belong_together_are_refused(missed: list[int], true: list[int]) -> None:
    with pytest.raises(ValueError, match="0 <= missed <= true"):
        pooled_false_negative_rate(missed, true)
