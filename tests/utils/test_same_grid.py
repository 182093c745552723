"""How far two grids of one shape lie apart, and the three steps that are made of it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_rwcp.utils.same_grid import check_same_grid, displacement
from tests.helpers.placed_maps import ELSEWHERE, HERE, SHAPE, SPACING, moved


def by_every_voxel(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """The largest displacement in voxels and mm, voxel by voxel."""
    voxels = np.stack([*np.indices(SHAPE).reshape(3, -1), np.ones(np.prod(SHAPE))])
    shifts = ((one - other) @ voxels)[:3]
    along = [np.abs(np.linalg.solve(affine[:3, :3], shifts)) for affine in (one, other)]
    return float(np.linalg.norm(np.maximum(*along), axis=0).max()), float(np.linalg.norm(shifts, axis=0).max())


@pytest.mark.parametrize("there", ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_corners_decide(there: np.ndarray) -> None:
    found = displacement(HERE, there, SHAPE)
    assert (found.voxels, found.mm) == pytest.approx(by_every_voxel(HERE, there))
    back = displacement(there, HERE, SHAPE)
    assert (back.voxels, back.mm) == pytest.approx((found.voxels, found.mm))


def test_a_shift_is_told_in_voxels_of_its_axis() -> None:
    for axis in range(3):
        found = displacement(HERE, moved(*(0.02 * np.eye(3)[axis])), SHAPE)
        assert found.voxels == pytest.approx(0.02)
        assert found.mm == pytest.approx(0.02 * SPACING[axis])


def test_the_finer_of_two_voxels_counts() -> None:
    # A voxel further on along an axis of 1 mm in one grid and 4 mm in the other.
    coarse = np.diag([1.0, 1, 4, 1])
    found = displacement(np.eye(4), coarse, (1, 1, 2))
    assert (found.voxels, found.mm) == (3, 3)
    assert displacement(coarse, np.eye(4), (1, 1, 2)).voxels == 3


def test_offsets_of_metres_cost_no_digits() -> None:
    far = HERE.copy()
    far[:3, 3] += 1e5
    near = far.copy()
    near[:3, 3] += 1e-6 * far[:3, 0]
    assert displacement(far, near, SHAPE).voxels == pytest.approx(1e-6, rel=1e-2)
    # A tolerance that grows with the offset would take a voxel of 0.05 mm at 120 mm for its second next.
    small = np.diag([0.05, 0.05, 0.05, 1.0])
    small[:3, 3] = 120
    assert displacement(small, moved(2, 0, 0, affine=small), SHAPE).voxels == pytest.approx(2)


def placed(affine: np.ndarray, shape: tuple[int, ...] = SHAPE) -> MetaTensor:
    return MetaTensor(torch.zeros(1, *shape), affine=torch.as_tensor(affine))


def check(one: object, other: object) -> list[str]:
    """What is warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_same_grid({"score": ("pred", one), "label": ("truth", other)}, set())
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_the_same_place(dtype: type) -> None:
    assert check(placed(HERE), placed(HERE.astype(dtype))) == []
    assert check(placed(HERE), placed(moved(9e-4, 0, 0))) == []


def test_what_headers_round_is_warned_of() -> None:
    for by in (1.2e-3, 0.049):
        (said,) = check(placed(HERE), placed(moved(0, by, 0)))
        assert "score 'pred' and label 'truth'" in said
        assert f"{by:.4g} voxels ({0.7 * by:.4g} mm)" in said


@pytest.mark.parametrize("there", [*ELSEWHERE.values(), moved(0, 0, 0.051)])
def test_elsewhere_is_refused(there: np.ndarray) -> None:
    with pytest.raises(
        ValueError, match=r"score 'pred' and label 'truth' on one grid, but .* voxels \(.* mm\).*Invertd"
    ):
        check(placed(HERE), placed(there))


def test_a_mirrored_grid_is_called_one() -> None:
    with pytest.raises(ValueError, match="axes run to RAS and LAS: one is turned or mirrored"):
        check(placed(np.eye(4)), placed(np.diag([-1.0, 1, 1, 1])))
    with pytest.raises(ValueError, match=r"apart\. Bring"):
        check(placed(np.eye(4)), placed(moved(1, 0, 0, affine=np.eye(4))))


def test_what_has_no_affine_is_taken_as_it_is() -> None:
    for other in (torch.zeros(1, *SHAPE), np.zeros((1, *SHAPE))):
        assert check(placed(HERE), other) == []
        assert check(other, placed(HERE)) == []
    # Two that have one are compared whatever the first is.
    maps = {
        "score": ("pred", torch.zeros(1, *SHAPE)),
        "label": ("label", placed(HERE)),
        "mask": ("roi", placed(np.eye(4))),
    }
    with pytest.raises(ValueError, match="label 'label' and mask 'roi'"):
        check_same_grid(maps, set())


def test_other_shapes_are_left_to_their_own_check() -> None:
    assert check(placed(HERE), placed(np.eye(4), (12, 12, 7))) == []


def test_slices_in_space() -> None:
    """2D maps carry an affine of three axes, of two, or one of each."""
    flat = (12, 12)
    assert check(placed(HERE, flat), placed(HERE, flat)) == []
    # Pixels of the next slice have the same numbers.
    with pytest.raises(ValueError, match=r"up to 1 voxels \(2.5 mm\)"):
        check(placed(HERE, flat), placed(moved(0, 0, 1), flat))
    # What lies beyond the last column never moves a pixel.
    other = HERE.copy()
    other[:3, 2] *= 3
    assert check(placed(HERE, flat), placed(other, flat)) == []
    plane, pixels = np.diag([0.7, 0.7, 1.0]), np.diag([0.7, 0.7, 2.5, 1.0])
    plane[:2, 2] = pixels[:2, 3] = (-60, 80)
    assert check(placed(plane, flat), placed(pixels, flat)) == []
    for one, two in ((pixels, plane), (plane, pixels)):
        shifted = two.copy()
        shifted[0, -1] += 0.7
        with pytest.raises(ValueError, match=r"up to 1 voxels \(0.7 mm\)"):
            check(placed(one, flat), placed(shifted, flat))


def test_a_grid_without_thickness() -> None:
    thin, flat = np.diag([0.5, 0.5, 0, 1]), (12, 12)
    assert check(placed(thin, flat), placed(thin, flat)) == []
    raised = thin.copy()
    raised[2, 3] = 0.2
    with pytest.raises(ValueError, match=r"0.4 voxels \(0.2 mm\)"):
        check(placed(thin, flat), placed(raised, flat))


@pytest.mark.parametrize("wrong", [np.full((4, 4), np.nan), np.diag([1, 1, np.inf, 1])])
def test_a_damaged_header(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite affine of label 'truth'"):
        check(placed(HERE), placed(wrong))


def test_an_affine_of_too_few_axes() -> None:
    with pytest.raises(ValueError, match="score 'pred' to be one item"):
        check(placed(np.eye(3)), placed(HERE))


def test_one_warning_for_each_pair() -> None:
    warned: set[tuple[str, str]] = set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(30):
            maps = {
                "score": ("pred", placed(HERE)),
                "label": ("y", placed(moved(0.02, 0, 0))),
                "mask": ("roi", placed(HERE)),
            }
            check_same_grid(maps, warned)
    assert len(caught) == 2
    assert warned == {("score", "label"), ("label", "mask")}
