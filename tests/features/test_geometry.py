"""Cropping a padded grid to its image keeps every cell where its features come from."""

from __future__ import annotations

import pytest
import torch

from monai_rwcp.features.geometry import checked_slice_axis, crop_to_image, maps_of_image, pad_to_shape


@pytest.mark.parametrize("stride", [1, 4, 14])
@pytest.mark.parametrize("size", [1, 5, 13, 14, 20, 21, 28, 55, 56, 57, 97])
def test_a_ramp_stays_a_ramp(size: int, stride: int) -> None:
    n = -(-size // stride) + 1
    ramp = (torch.arange(n, dtype=torch.float64) + 0.5) * stride  # position of each centre of the padded grid
    found = crop_to_image(ramp.reshape(1, 1, n), (size,), (stride,))[0, 0]
    cells = len(found)
    assert cells == max(1, int(size / stride + 0.5))
    expected = (torch.arange(cells, dtype=torch.float64) + 0.5) * size / cells
    # Before the first centre there is nothing to interpolate with: its value is held.
    torch.testing.assert_close(found, expected.clamp(min=stride / 2))


def test_whole_cells_are_cut_out_bit_by_bit() -> None:
    grid = torch.rand(2, 3, 5, 7)
    assert torch.equal(crop_to_image(grid, (32, 40), (8, 8)), grid[:, :, :4, :5])


def test_each_axis_has_its_own_stride() -> None:
    grid = torch.rand(1, 2, 6, 6, 6)
    found = crop_to_image(grid, (10, 12, 5), (4, 2, 1))
    assert found.shape == (1, 2, 3, 6, 5)
    assert torch.equal(found[:, :, :, :, 0], crop_to_image(grid[..., 0], (10, 12), (4, 2)))


def test_padding_repeats_the_last_values() -> None:
    batch = torch.arange(6.0).reshape(1, 1, 2, 3)
    assert pad_to_shape(batch, (3, 5))[0, 0].tolist() == [[0, 1, 2, 2, 2], [3, 4, 5, 5, 5], [3, 4, 5, 5, 5]]
    assert pad_to_shape(batch, (2, 3)) is batch


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_go_through_in_order_and_in_batches(axis: int) -> None:
    sizes: list[int] = []

    def maps(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return torch.cat([batch, -batch], dim=1)[:, :, ::2]

    volume = torch.rand(1, 6, 5, 7)
    found = maps_of_image(volume, axis, 4, maps)
    expected = torch.stack([torch.cat([s, -s])[:, ::2] for s in volume.unbind(axis + 1)], dim=axis + 1)
    assert torch.equal(found, expected)
    assert sizes == {6: [4, 2], 5: [4, 1], 7: [4, 3]}[volume.shape[axis + 1]]


@pytest.mark.parametrize("axis", [3, -4, 1.0, True, "z"])
def test_other_axes_are_refused(axis: object) -> None:
    with pytest.raises(ValueError, match="`slice_axis`"):
        checked_slice_axis(axis)
