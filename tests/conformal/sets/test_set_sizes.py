"""Set sizes against lambda: compared with the sets themselves, at thresholds a calibration could choose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import curve_thresholds, set_sizes, threshold_levels
from monai_rwcp.conformal.sets.prediction_set import set_at


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_they_are_the_sizes_of_the_sets(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    score = torch.softmax(8 * torch.randn(3, 9, 8, 7, generator=generator), dim=0).to(dtype)
    score[:, :2] = 0
    # Scores that lie on a threshold belong to its set.
    score[1, 3, 0] = torch.tensor(curve_thresholds()[13:20]).to(dtype)
    found = set_sizes(score, [1, 2])
    for c in (1, 2):
        for j, threshold in enumerate(curve_thresholds().tolist()):
            expected = set_at(score, {c: threshold})
            assert found[c][j] == int(expected[c].sum()), (c, threshold)


def test_a_volume_is_counted_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    score = torch.rand(2, 30, 20)
    score[:, 5] = 0
    whole = set_sizes(score, [0, 1])
    monkeypatch.setattr("monai_rwcp.conformal.sets.set_sizes._PART", 7)
    assert set_sizes(score, [0, 1]) == whole
    assert all(sizes == sorted(sizes, reverse=True) for sizes in whole.values())


def test_the_thresholds_are_a_calibrations_own_and_symmetric() -> None:
    thresholds = curve_thresholds()
    assert thresholds.dtype == np.float32
    assert (np.diff(thresholds) > 0).all()
    assert set(thresholds.tolist()) <= set(threshold_levels().tolist())
    np.testing.assert_allclose(thresholds, 1 - thresholds[::-1].astype(float), atol=1e-7)
