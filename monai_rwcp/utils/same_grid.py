"""Whether two maps of one case lie at one place: how far a voxel of one grid lies from the same voxel of another."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from monai.data import MetaTensor

from monai_rwcp.utils.lengths import affine_in_mm

__all__ = ["Displacement", "check_same_grid", "displacement", "lie_alike"]

# In voxels. Rounding of float32 stays below the first; quaternions and six digits of honest headers reach the second.
_SAME, _ROUNDED = 1e-3, 0.05

_IN_CHAIN = (
    "Bring both to one grid: both before or both behind Invertd, both through the same Spacingd and Orientationd, or "
    "one resampled to the other (ResampleToMatchd)."
)


@dataclass(frozen=True)
class Displacement:
    """How far the voxels of one grid lie at most from the same voxels of another.

    Args:
        voxels: in voxels; along each axis the finer one of the two grids counts.
        mm: in mm.
    """

    voxels: float
    mm: float

    def __str__(self) -> str:
        return f"{_number(self.voxels)} voxels ({_number(self.mm)} mm)"


def displacement(one: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> Displacement:
    r"""Tell how far the voxels of one grid lie at most from the same voxels of another of its shape.

    .. math:: d(x) = (A - B)\, x, \qquad
        \max_x \|d(x)\|, \qquad
        \max_x \bigl\| \bigl( \max(|A^{-1} d(x)|_a, |B^{-1} d(x)|_a) \bigr)_a \bigr\|

    the first in mm, the second in voxels, along each axis :math:`a` those of the grid in which they are more. Both are
    convex in :math:`x`, so the corners of the field decide. Affines are subtracted first: offsets of metres cost no
    digits.

    Args:
        one, other: affines ``[r + 1, r + 1]`` from voxels to mm, r at least the number of spatial axes. Of a 2D map
            they may be 3 x 3 or 4 x 4; a 3 x 3 one is compared with the first two of the other's axes.
        shape: number of voxels along each spatial axis.

    Example:
        >>> moved = np.eye(4)
        >>> moved[0, 3] = 0.5
        >>> print(displacement(np.eye(4), moved, (8, 8, 8)))
        0.5 voxels (0.5 mm)
    """
    rank = min(len(one), len(other)) - 1
    kept = [*range(rank), -1]
    pair = [np.asarray(affine, dtype=float)[np.ix_(kept, kept)][:rank] for affine in (one, other)]
    ends = product(*[(0, n - 1) for n in shape], *[(0,)] * (rank - len(shape)), (1,))
    shifts = np.array(list(ends), dtype=float) @ (pair[0] - pair[1]).T
    voxels = np.maximum(*(_in_voxels(shifts, affine[:, :rank]) for affine in pair))
    return Displacement(float(np.linalg.norm(voxels, axis=1).max()), float(np.linalg.norm(shifts, axis=1).max()))


def lie_alike(one: np.ndarray, other: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether two grids of one shape are the same up to what headers round.

    Example:
        >>> lie_alike(np.eye(4), np.diag([1.001, 1, 1, 1]), (8, 8, 8))
        True
    """
    return displacement(one, other, shape).voxels <= _ROUNDED


def check_same_grid(
    maps: Mapping[str, tuple[object, Any]], warned: set[tuple[str, str]], *, mend: str = _IN_CHAIN
) -> None:
    """Refuse maps of one case whose voxels do not lie at the same places, as far as they tell where they lie.

    Arrays without an affine are taken as they are. Maps of different shapes are left to the checks of shape.

    Args:
        maps: by what it is (``"score"``, ``"label"``) the key or file of each map, and the map ``[C, *spatial]``.
        warned: pairs that were warned of in this run; a new one is added. A run with 100 cases warns once of a pair.
        mend: what to do, for the message.

    Raises:
        ValueError: when a voxel lies more than a twentieth of a voxel elsewhere, or an affine is none; the message
            names both maps.

    Example:
        >>> import torch
        >>> moved = torch.eye(4)
        >>> moved[0, 3] = 2
        >>> score, label = MetaTensor(torch.rand(2, 4, 4)), MetaTensor(torch.ones(1, 4, 4), affine=moved)
        >>> check_same_grid({"score": ("pred", score), "label": ("label", label)}, set())
        Traceback (most recent call last):
        ValueError: Expected score 'pred' and label 'label' on one grid, but by their affines the same voxel lies ...
    """
    placed = {
        what: (f"{what} '{name}'", value) for what, (name, value) in maps.items() if isinstance(value, MetaTensor)
    }
    affines = {what: _affine(value, named) for what, (named, value) in placed.items()}
    for pair in combinations(placed, 2):
        (named, value), (other_named, other) = (placed[what] for what in pair)
        if value.shape[1:] != other.shape[1:]:
            continue
        one, two = (affines[what] for what in pair)
        apart = displacement(one, two, value.shape[1:])
        if apart.voxels > _ROUNDED:
            raise ValueError(
                f"Expected {named} and {other_named} on one grid, but by their affines the same voxel lies up to "
                f"{apart} apart{_turned(one, two)}. {mend}"
            )
        if apart.voxels > _SAME and pair not in warned:
            warned.add(pair)
            warnings.warn(
                f"By their affines {named} and {other_named} lie up to {apart} apart. So little is taken for rounding "
                f"in a header; more than {_ROUNDED} voxels is refused. Further cases of this run are not named.",
                stacklevel=2,
            )


def _affine(value: MetaTensor, named: str) -> np.ndarray:
    affine = affine_in_mm(value)
    if affine.ndim != 2 or affine.shape[0] != affine.shape[1] or len(affine) < value.ndim:
        raise ValueError(
            f"Expected {named} to be one item [channels, *spatial] with an affine that has a row for each spatial "
            f"axis, but its shape is {tuple(value.shape)} and its affine's {affine.shape}. Split batches into items "
            "(decollate=True in the evaluator)."
        )
    if not np.isfinite(affine).all():
        raise ValueError(f"Expected a finite affine of {named}, but got {affine.tolist()}. Its header is damaged.")
    return affine


def _in_voxels(shifts: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Sizes of shifts along each axis in its voxels, and of what no axis points along, in the finest voxel."""
    along = shifts @ np.linalg.pinv(matrix).T
    sizes = np.linalg.norm(matrix, axis=0)
    finest = min(sizes[sizes > 0], default=1.0)
    beyond = np.linalg.norm(shifts - along @ matrix.T, axis=1, keepdims=True) / finest
    return np.hstack([np.abs(along), beyond])


def _number(length: float) -> str:
    return f"{length:.0f}" if length >= 1000 else f"{length:.4g}"


def _turned(one: np.ndarray, other: np.ndarray) -> str:
    sizes = [float(np.linalg.norm(affine[:-1, 0])) for affine in (one, other)]
    if len(one) == len(other) and min(sizes) and not 0.01 < sizes[0] / sizes[1] < 100:
        return (
            f" (their voxels are {sizes[0]:.4g} and {sizes[1]:.4g} mm long: is the unit of length in one header "
            "wrong, such as micron for mm?)"
        )
    directions = [_directions(affine) for affine in (one, other)]
    if len(one) != len(other) or directions[0] == directions[1]:
        return ""
    return f" (axes run to {directions[0]} and {directions[1]}: one is turned or mirrored)"


def _directions(affine: np.ndarray) -> str:
    """The letter of the direction that each axis runs along most, as in RAS."""
    matrix = affine[:-1, :-1]
    ends = ("LR", "PA", "IS")
    return "".join(ends[axis][int(column[axis] > 0)] for column in matrix.T for axis in [np.abs(column).argmax()])
