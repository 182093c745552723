"""Moving values between grids against torch's interpolation and a literal area average."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from monai_rwcp.walk import cell_centres, graph_grid_shape, resample_to_grid


@pytest.mark.parametrize(("old", "new"), [((24, 16), (6, 8)), ((12, 8, 6), (4, 8, 3))])
def test_whole_ratios_down_are_torchs_area(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    x = torch.rand(3, *old, dtype=torch.float64)
    torch.testing.assert_close(resample_to_grid(x, new), F.interpolate(x[None], new, mode="area")[0])


@pytest.mark.parametrize(("old", "new", "mode"), [((7, 5), (20, 13), "bilinear"), ((3, 4, 5), (7, 9, 11), "trilinear")])
def test_up_is_torchs_linear(old: tuple[int, ...], new: tuple[int, ...], mode: str) -> None:
    x = torch.rand(2, *old, dtype=torch.float64)
    expected = F.interpolate(x[None], new, mode=mode, align_corners=False)[0]
    torch.testing.assert_close(resample_to_grid(x, new), expected)


def test_mixed_axes_are_torchs_one_after_the_other() -> None:
    x = torch.rand(2, 12, 5, dtype=torch.float64)
    down = F.interpolate(x[None], (4, 5), mode="area")
    expected = F.interpolate(down, (4, 9), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(resample_to_grid(x, (4, 9)), expected)


@pytest.mark.parametrize(("old", "new"), [(64, 56), (7, 3), (10, 9), (5, 1)])
def test_fractional_ratios_average_the_exact_area(old: int, new: int) -> None:
    x = torch.rand(1, old, dtype=torch.float64)
    expected = []
    for i in range(new):
        start, stop = i * old / new, (i + 1) * old / new
        shares = [max(0.0, min(stop, j + 1) - max(start, j)) for j in range(old)]
        expected.append(sum(s * float(x[0, j]) for j, s in enumerate(shares)) / (stop - start))
    torch.testing.assert_close(resample_to_grid(x, (new,))[0], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(9, 31), (40, 7), (5, 6, 20)])
def test_constants_stay(shape: tuple[int, ...]) -> None:
    x = torch.full((1, *([12] * len(shape))), 0.3, dtype=torch.float64)
    torch.testing.assert_close(resample_to_grid(x, shape), torch.full((1, *shape), 0.3, dtype=torch.float64))


@pytest.mark.parametrize("nodes", [(56, 48), (37, 41)])
def test_there_and_back_keeps_the_place(nodes: tuple[int, int]) -> None:
    x = torch.zeros(1, 112, 96, dtype=torch.float64)
    x[0, 30:40, 60:70] = 1
    back = resample_to_grid(resample_to_grid(x, nodes), (112, 96))[0]
    rows, columns = torch.arange(112).double(), torch.arange(96).double()
    assert abs(float((back.sum(dim=1) * rows).sum() / back.sum()) - 34.5) < 0.05
    assert abs(float((back.sum(dim=0) * columns).sum() / back.sum()) - 64.5) < 0.05


def test_centres_in_physical_proportion() -> None:
    # 4 cells of 2 mm span 6 mm between centres, 3 cells of 4 mm span 8 mm: the second axis is the longest.
    centres = cell_centres((4, 3), (8.0, 12.0))
    assert centres[0].tolist() == [-0.75, -1.0]
    assert centres[-1].tolist() == [0.75, 1.0]
    assert centres[1].tolist() == [-0.75, 0.0]


def test_centres_of_single_cells() -> None:
    assert cell_centres((1, 1, 1)).tolist() == [[0, 0, 0]]
    assert cell_centres((1, 2)).tolist() == [[0, -1], [0, 1]]


def test_centres_need_positive_lengths() -> None:
    for extent in [(0.0, 1.0), (math.nan, 1.0), (1.0,)]:
        with pytest.raises(ValueError, match="positive length"):
            cell_centres((2, 2), extent)


def test_grids() -> None:
    assert graph_grid_shape((224, 220), (64, 60), "features") == (64, 60)
    assert graph_grid_shape((224, 220), (64, 60), "map") == (224, 220)
    assert graph_grid_shape((225, 3, 9), (1, 1, 1), 4) == (57, 1, 3)
    assert graph_grid_shape((225, 30, 9), (1, 1, 1), (4, 3, 1)) == (57, 10, 9)
    for grid in ("image", 0, -1, 2.0, True, None):
        with pytest.raises(ValueError, match="grid"):
            graph_grid_shape((8, 8), (4, 4), grid)  # type: ignore[arg-type]


def test_wrong_number_of_axes() -> None:
    with pytest.raises(ValueError, match="2 sizes"):
        resample_to_grid(torch.rand(1, 4, 4), (2,))
