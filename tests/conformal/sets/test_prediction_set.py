"""Prediction sets, their edges, and the records that guard them."""

from __future__ import annotations

import pytest
import torch

from monai_rwcp.conformal import Calibration, ClassCalibration, Promise, prediction_set, threshold_levels


def calibration(threshold: float, n_channels: int = 2) -> Calibration:
    return Calibration(
        promised=Promise(0.1), unit_name="patient", n_channels=n_channels, n_images=30, class_names=None,
        classes={1: ClassCalibration(threshold, 30, 0.0, 0.07)},
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_ties_belong_to_the_set(dtype: torch.dtype) -> None:
    score = torch.tensor([[[0.5, 0.5, 0.5]], [[0.25, 0.2501, 0.2499]]], dtype=torch.float64).to(dtype)
    threshold = float(torch.tensor(0.25, dtype=torch.float32))
    found = prediction_set(score, calibration(threshold))
    assert found.dtype == torch.uint8
    assert found[1, 0].tolist() == [int(float(s) >= threshold) for s in score[1, 0]]
    assert found[0].sum() == 0


def test_half_precision_is_not_rounded_onto_the_threshold() -> None:
    # 0.1 in half precision is 0.09998; a threshold just above it must not be rounded down to it.
    score = torch.full((2, 1, 1), 0.1).half()
    assert prediction_set(score, calibration(float(torch.tensor(0.1))))[1].item() == 0


def test_threshold_zero_is_the_whole_image() -> None:
    score = torch.tensor([[[1.0, 0.3]], [[-1e-8, 0.0]]])
    assert prediction_set(score, calibration(0.0))[1].tolist() == [[1, 1]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_an_exact_zero_is_in_no_set_but_the_whole_image(dtype: torch.dtype) -> None:
    """Also where every channel is 0; the smallest score above it is in a set as any other."""
    tiny = torch.finfo(torch.float16).tiny
    score = torch.tensor([[[0.0, 0.0, 0.9, 0.2]], [[0.0, -0.0, tiny, 0.8]]]).to(dtype)
    assert prediction_set(score, calibration(0.5))[1].tolist() == [[0, 0, 0, 1]]
    assert prediction_set(score, calibration(float(threshold_levels()[1])))[1].tolist() == [[0, 0, 1, 1]]
    assert prediction_set(score, calibration(0.0))[1].tolist() == [[1, 1, 1, 1]]


def test_other_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 channels, as calibrated, but got 2"):
        prediction_set(torch.rand(2, 3, 3), calibration(0.5, n_channels=3))
