"""The threshold grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import threshold_levels
from monai_rwcp.conformal.counting.levels import level_of


def test_grid_is_ascending_from_zero_to_one_and_dense_in_logits() -> None:
    levels = threshold_levels()
    assert levels.dtype == np.float32
    assert levels[0] == 0
    assert levels[-1] == 1
    assert (np.diff(levels) > 0).all()
    inner = levels[1:-1].astype(float)
    logits = np.log(inner / (1 - inner))
    middle = np.abs(logits) < 7.9
    assert np.diff(logits[middle]).max() < 1 / 256 + 1e-3
    assert logits.min() < -86.9
    assert logits.max() > 16.5
    with pytest.raises(ValueError, match="read-only"):
        levels[0] = 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_voxel_is_in_the_set_exactly_from_its_level_down(dtype: torch.dtype) -> None:
    levels = threshold_levels()
    generator = torch.Generator().manual_seed(0)
    scores = torch.sigmoid(6 * torch.randn(3000, generator=generator, dtype=torch.float64)).to(dtype)
    scores[:3] = torch.tensor([0.0, 1.0, float(levels[100])], dtype=dtype)
    level = level_of(scores).numpy()
    exact = scores.double().numpy()
    for j in range(0, len(levels), 37):
        np.testing.assert_array_equal(level >= j, exact >= float(levels[j]))


def test_scores_on_a_level_belong_to_it_and_rounding_below_zero_to_the_first() -> None:
    levels = torch.tensor(threshold_levels())
    assert torch.equal(level_of(levels), torch.arange(len(levels)))
    below = torch.nextafter(levels[1:], torch.tensor(-1.0))
    assert torch.equal(level_of(below), torch.arange(len(levels) - 1))
    assert level_of(torch.tensor([-1e-8])).item() == 0
