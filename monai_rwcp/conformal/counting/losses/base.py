"""What every loss of a set has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch

from monai_rwcp.conformal.counting.levels import level_of, threshold_levels
from monai_rwcp.utils.voxels import Voxel

__all__ = ["ClassCase", "SetLoss"]


@dataclass(frozen=True)
class ClassCase:
    """One class of one image, or of a slab of it, as losses read it.

    Args:
        scores: float ``[C, *spatial]`` in [0, 1].
        class_index: the class's channel.
        truth: bool ``[*spatial]``, counted true voxels.
        counted: bool ``[*spatial]``, or None where all voxels count.
        weight: int64 ``[*spatial]``, or None.
        voxel: its edges in mm, or None where they are not known.
    """

    scores: torch.Tensor
    class_index: int
    truth: torch.Tensor
    counted: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    voxel: Voxel | None = None

    def levels(self, where: torch.Tensor) -> torch.Tensor:
        """Highest level at which each voxel of a bool mask ``[*spatial]`` is still in the set, int64 ``[m]``."""
        return level_of(self.scores[self.class_index][where])


@dataclass(frozen=True)
class SetLoss(ABC):
    """A loss in [0, 1] of a set of voxels against the truth.

    A loss is the share of some parts of the truth (voxels, pieces, surface) that the set misses: every part is missed
    above one level, so that one count by level holds the loss at all thresholds, and counts of images add up to the
    loss of their unit. Losses of excess (``of_excess``) count voxels that the set claims wrongly as well.
    """

    name: ClassVar[str]
    of_excess: ClassVar[bool] = False
    monotone: ClassVar[bool] = True
    by_slab: ClassVar[bool] = False
    needs_weight: ClassVar[bool] = False
    needs_spacing: ClassVar[bool] = False

    @abstractmethod
    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Count one class of one image.

        Args:
            case: the class.

        Returns:
            how many parts of the truth are missed above each level but at no lower one, int64 ``[L]``; and, for
            losses of excess, how many voxels are claimed wrongly up to each level, int64 ``[L]``.
        """

    @abstractmethod
    def subject(self, class_name: str) -> str:
        """What the promise bounds a share of, such as "the left ventricle is missed"."""

    def record(self) -> dict[str, Any]:
        """Name and numbers of the loss, as it is written into files."""
        kept = [field.name for field in fields(self) if field.metadata.get("recorded", True)]
        return {"name": self.name} | {name: getattr(self, name) for name in kept}


def by_level(level: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Add up ones, or whole-number weights, by level: int64 ``[L]``."""
    n = len(threshold_levels())
    if weight is None:
        return torch.bincount(level, minlength=n)
    total = torch.zeros(n, dtype=torch.int64, device=level.device)
    return total.index_add_(0, level, weight)
