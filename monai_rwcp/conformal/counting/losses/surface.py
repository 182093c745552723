"""The loss of contours: how much of the truth's surface lies far outside the set."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss, by_level

__all__ = ["SurfaceFalseNegativeRate"]


@dataclass(frozen=True)
class SurfaceFalseNegativeRate(SetLoss):
    r"""Share of the truth's surface that lies farther than a distance outside the set.

    .. math:: L(C) = \#\{x \in \partial Y : \min_{y \in C} |x - y| > r\} / \#\partial Y

    The surface is made of the true voxels that share a face with a counted voxel that is not true (the image's edge is
    no surface); distances are between voxel centres, on the image's true grid. A surface voxel is safe up to the
    highest level within its reach. A truth without a surface counts as an image without the class.

    Args:
        radius: the distance ``r`` in mm, at least 0.

    Raises:
        ValueError: when the radius is negative or not finite.

    Example:
        >>> SurfaceFalseNegativeRate(2.0).subject("liver")
        'the surface of liver lies more than 2 mm outside the set'
    """

    radius: float
    name: ClassVar[str] = "surface_fnr"
    needs_spacing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        fits = isinstance(self.radius, (int, float)) and not isinstance(self.radius, bool)
        if not fits or not 0 <= self.radius < math.inf:
            raise ValueError(f"Expected `radius` to be a distance in mm of at least 0, but got {self.radius!r}.")

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :py:meth:`SetLoss.count`."""
        assert case.voxel is not None
        shape = case.truth.shape
        at = _surface(case.truth, case.counted).nonzero()
        # Levels of all voxels in reach are needed, which is those in a box around the surface.
        steps = case.voxel.reach(self.radius)
        level = torch.full(shape, -1, dtype=torch.int64, device=at.device)
        if len(at):
            box = tuple(
                slice(max(0, int(low) - reach), int(high) + reach + 1)
                for low, high, reach in zip(at.amin(0), at.amax(0), steps, strict=True)
            )
            inside = torch.zeros(shape, dtype=torch.bool, device=at.device)
            inside[box] = True
            level[inside] = case.levels(inside)
        size = torch.tensor(shape, device=at.device)
        highest = torch.full((len(at),), -1, dtype=torch.int64, device=at.device)
        for step in itertools.product(*(range(-reach, reach + 1) for reach in steps)):
            if case.voxel.distance(step) > self.radius * (1 + 1e-12):
                continue
            there = at + torch.tensor(step, device=at.device)
            exists = ((there >= 0) & (there < size)).all(dim=1)
            found = level[tuple(there[exists].T)]
            highest[exists] = torch.maximum(highest[exists], found)
        return by_level(highest), None

    def subject(self, class_name: str) -> str:
        """See :py:meth:`SetLoss.subject`."""
        return f"the surface of {class_name} lies more than {self.radius:.4g} mm outside the set"


def _surface(truth: torch.Tensor, counted: torch.Tensor | None) -> torch.Tensor:
    other = ~truth if counted is None else counted & ~truth
    surface = torch.zeros_like(truth)
    for axis in range(truth.ndim):
        n = truth.shape[axis]
        surface.narrow(axis, 1, n - 1).logical_or_(other.narrow(axis, 0, n - 1))
        surface.narrow(axis, 0, n - 1).logical_or_(other.narrow(axis, 1, n - 1))
    return surface & truth
