"""The edges of a voxel in mm: its volume, and how far voxels are apart, also on sheared grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

__all__ = ["Voxel"]

# Cosine between two edges; rounding in headers stays below, and lengths change by half of it at most.
_STRAIGHT = 1e-3


@dataclass(frozen=True)
class Voxel:
    """A voxel, or a pixel of a 2D image.

    Args:
        edges: for each axis the way from one voxel to the next, in mm.

    Example:
        >>> round(Voxel.straight([1.0, 2.0, 4.0]).size, 6)
        8.0
    """

    edges: tuple[tuple[float, ...], ...]

    @staticmethod
    def straight(lengths: Sequence[float]) -> Voxel:
        """A voxel of right angles."""
        return Voxel(tuple(map(tuple, np.diag([float(length) for length in lengths]).tolist())))

    @cached_property
    def lengths(self) -> list[float]:
        """Of its edges, in mm."""
        return [math.hypot(*edge) for edge in self.edges]

    @cached_property
    def is_straight(self) -> bool:
        """Whether its angles are right, up to what headers round."""
        matrix, lengths = np.array(self.edges), np.array(self.lengths)
        cosines = matrix @ matrix.T / np.outer(lengths, lengths)
        return bool(np.abs(cosines - np.diag(np.diag(cosines))).max() <= _STRAIGHT)

    @property
    def size(self) -> float:
        r"""Its volume in mm3, :math:`|\det A|`; the area of a pixel in mm2."""
        matrix = np.array(self.edges)
        if matrix.shape[0] == matrix.shape[1]:
            return float(abs(np.linalg.det(matrix)))
        return float(math.sqrt(np.linalg.det(matrix @ matrix.T)))

    def resized(self, lengths: Sequence[float]) -> Voxel:
        """A voxel of the same angles with edges of other lengths."""
        scaled = np.array(self.edges) * (np.array(lengths, dtype=float) / np.array(self.lengths))[:, None]
        return Voxel(tuple(map(tuple, scaled.tolist())))

    def distance(self, steps: Sequence[int]) -> float:
        """How far a voxel is away that lies some steps along each axis."""
        if self.is_straight:
            return math.hypot(*(n * length for n, length in zip(steps, self.lengths, strict=True)))
        return float(np.linalg.norm(np.array(steps) @ np.array(self.edges)))

    def diagonal(self, shape: Sequence[int]) -> float:
        """The longest way through a grid of voxels."""
        ways = product((1, -1), repeat=len(shape))
        return max(self.distance([n * sign for n, sign in zip(shape, way, strict=True)]) for way in ways)

    def reach(self, radius: float) -> list[int]:
        """How many steps along each axis are at most to be taken to voxels within a radius, in mm."""
        if self.is_straight:
            per_step = self.lengths
        else:
            per_step = (1 / np.linalg.norm(np.linalg.pinv(np.array(self.edges)), axis=0)).tolist()
        return [math.floor(radius / length * (1 + 1e-12)) for length in per_step]
