"""Intensities become network input by what was asked for, and nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_rwcp.features.images import check_image, checked_intensity, intensity_name, scale_intensity


def test_window_is_linear_and_clipped() -> None:
    image = torch.tensor([[[-1000.0, -160.0, -60.0, 240.0, 3000.0]]])
    assert scale_intensity(image, (-160, 240)).tolist() == [[[0.0, 0.0, 0.25, 1.0, 1.0]]]


def test_percentiles_are_taken_of_each_channel() -> None:
    image = torch.rand(2, 31, 17, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 900.0]).reshape(
        2, 1, 1, 1
    )
    found = scale_intensity(image, "percentiles")
    for channel in range(2):
        values = image[channel].double().numpy()
        low, high = np.percentile(values, 0.5), np.percentile(values, 99.5)
        np.testing.assert_allclose(found[channel], np.clip((values - low) / (high - low), 0, 1), atol=1e-5)


def test_none_changes_nothing() -> None:
    image = torch.rand(1, 4, 4)
    assert torch.equal(scale_intensity(image, "none"), image)


@pytest.mark.parametrize("values", [[0, 1.01], [-0.01, 1], [0, 255]])
def test_none_refuses_other_ranges(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\], but it ranges from .* intensity=\(low, high\)"):
        scale_intensity(torch.tensor([[values]], dtype=torch.float32), "none")


def test_percentiles_of_an_almost_constant_image() -> None:
    image = torch.zeros(2, 100, 100)
    image[0] = torch.rand(100, 100)
    image[1, 0, 0] = 5
    with pytest.raises(ValueError, match=r"in channel 1 both are 0: almost all of it is one value"):
        scale_intensity(image, "percentiles")


def test_arguments_as_json_has_them() -> None:
    assert checked_intensity([-160, 240]) == (-160.0, 240.0)
    assert intensity_name(checked_intensity([-160, 240])) == "intensity=-160..240"
    assert {intensity_name(checked_intensity(i)) for i in ("none", "percentiles")} == {
        "intensity=none",
        "intensity=percentiles 0.5..99.5",
    }


@pytest.mark.parametrize("given", [None, "percentile", (1, 1), (2, 1), (0, 1, 2), (0, float("inf")), "ab", 3])
def test_other_arguments_are_refused(given: object) -> None:
    with pytest.raises(ValueError, match="`intensity`"):
        checked_intensity(given)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 4, 4, 4), {}, "give slice_axis=2"),
        ((1, 4, 4), {"slice_axis": 1}, "Leave slice_axis out"),
        ((4, 4), {}, "2 or 3 spatial axes"),
        ((1, 1, 4, 4, 4), {"volumes": True}, "2 or 3 spatial axes"),
        ((1, 0, 4), {}, "there are none"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_image(torch.rand(shape), **options)
