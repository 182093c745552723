"""Features of volumes: slice by slice, native in 3D, and in sliding windows."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets import SwinUNETR, UNet

from monai_rwcp.features import NetworkFeatures


class Pyramid(torch.nn.Module):
    """Means of cells of 2, 4 and 8 voxels, so that every window gives the same as the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse, self.fine, self.middle = torch.nn.AvgPool3d(8), torch.nn.AvgPool3d(2), torch.nn.AvgPool3d(4)
        self.wide = torch.nn.MaxPool3d(3, 1, 1)
        self.odd = torch.nn.AvgPool3d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.coarse, self.fine, self.middle, self.wide, self.odd):
            layer(x)
        return x


@pytest.mark.parametrize("layers", ["fine", "coarse", ["coarse", "middle", "fine"], ["middle", "wide"]])
@pytest.mark.parametrize(("window", "overlap"), [((16, 16, 16), 0.25), ((24, 16, 32), 0.6), ((16, 16, 16), 0)])
def test_windows_give_what_the_whole_volume_gives(layers: list[str], window: tuple, overlap: float) -> None:
    volume = torch.rand(1, 40, 48, 32)
    whole = NetworkFeatures(Pyramid(), layers)(volume)
    windows = NetworkFeatures(Pyramid(), layers, window=window, overlap=overlap, batch_size=3)(volume)
    assert windows.shape == whole.shape
    inside = (slice(None), *[slice(2, -2)] * 3)
    if "wide" in layers:  # the only layer that looks beyond its cell: it differs where a window ends
        assert float((windows - whole)[inside].abs().mean()) < 0.02
    else:
        torch.testing.assert_close(windows, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(37, 50, 29), (9, 60, 16), (41, 41, 41)])
def test_a_bright_cube_is_found_in_odd_sizes(shape: tuple[int, int, int]) -> None:
    volume = torch.zeros(1, *shape)
    corner = [n // 2 for n in shape]
    volume[0, corner[0] :, corner[1] :, corner[2] :] = 1
    features = NetworkFeatures(Pyramid(), "middle", window=(16, 16, 16))(volume)[0]
    for axis in range(3):
        cells = features.shape[axis]
        assert abs(cells - shape[axis] / 4) <= 0.5
        weight = features.movedim(axis, 0).flatten(1).sum(dim=1)
        found = float((weight * (torch.arange(cells) + 0.5)).sum() / weight.sum())
        truth = (corner[axis] + shape[axis]) / 2 / shape[axis] * cells
        assert abs(found - truth) < 0.5


def test_windows_of_cells_that_are_no_power_of_two_are_refused() -> None:
    with pytest.raises(ValueError, match=r"strides of 1, 2, 4.*grids of \[\(8, 8, 8\)\]"):
        NetworkFeatures(Pyramid(), "odd", window=(24, 24, 24))(torch.rand(1, 48, 48, 48))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (16, 16)}, r"`window` of 3 sizes for images of \(32, 32, 32\), but got \(16, 16\)"),
        ({"window": (0, 16, 16)}, "`window` to be a positive size"),
        ({"overlap": 1.0}, "`overlap`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"slice_axis": 4}, "`slice_axis`"),
    ],
)
def test_bad_arguments(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NetworkFeatures(Pyramid(), "fine", **options)(torch.rand(1, 32, 32, 32))


def test_native_features_of_swin_unetr() -> None:
    torch.manual_seed(0)
    network = SwinUNETR(in_channels=1, out_channels=2, feature_size=12, spatial_dims=3).eval()
    volume = torch.rand(1, 64, 32, 32)
    with torch.no_grad():
        scales = network.swinViT(volume[None], True)
    assert [tuple(s.shape[1:]) for s in scales] == [
        (12, 32, 16, 16),
        (24, 16, 8, 8),
        (48, 8, 4, 4),
        (96, 4, 2, 2),
        (192, 2, 1, 1),
    ]
    features = NetworkFeatures(network, ["swinViT.layers1.0", "swinViT.layers2.0"])(volume)
    assert features.shape == (24 + 48, 16, 8, 8)
    in_windows = NetworkFeatures(network, "encoder2", window=(64, 32, 32))(torch.rand(1, 70, 32, 26))
    assert in_windows.shape == (12, 35, 16, 13)


@pytest.mark.parametrize("axis", [0, 2])
def test_network_of_images_goes_through_a_volume(axis: int) -> None:
    torch.manual_seed(0)
    network = UNet(2, 1, 3, (4, 8, 16), (2, 2), norm="batch").train()
    volume = torch.rand(1, 16, 24, 20)
    layers = ["model.1.submodule", "model.0"]
    found = NetworkFeatures(network, layers, slice_axis=axis, batch_size=5)(volume)
    one = NetworkFeatures(network, layers)
    expected = torch.stack([one(s) for s in volume.unbind(axis + 1)], dim=axis + 1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert network.training


def test_how_a_volume_is_gone_through_is_in_the_name() -> None:
    network = Pyramid()
    names = {
        NetworkFeatures(network, "fine", **options).name  # type: ignore[arg-type]
        for options in (
            {},
            {"slice_axis": 0},
            {"slice_axis": 1},
            {"window": (8, 8, 8)},
            {"window": (8, 8, 8), "overlap": 0.5},
        )
    }
    assert len(names) == 5
    assert (
        NetworkFeatures(network, "fine").name
        == f"NetworkFeatures(Pyramid, fine, {NetworkFeatures(network, 'fine').name.split(', ')[-1]}"
    )


def test_constant_volume_is_refused() -> None:
    with pytest.raises(ValueError, match="values vary"):
        NetworkFeatures(Pyramid(), "fine")(torch.zeros(1, 8, 8, 8))


def test_gradients_and_the_image_are_left_alone() -> None:
    volume = torch.rand(1, 16, 16, 16, requires_grad=True)
    before = volume.detach().clone()
    found = NetworkFeatures(Pyramid(), "fine", window=(16, 16, 16))(volume)
    assert not found.requires_grad
    assert torch.equal(volume, before)
    torch.testing.assert_close(found, F.avg_pool3d(before[None], 2)[0])
