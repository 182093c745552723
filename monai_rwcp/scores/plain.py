"""The network's probabilities, as they are or levelled by size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from monai_rwcp.conformal.counting.labels import check_score
from monai_rwcp.provenance.record import RecordedStep, ScoreRecord
from monai_rwcp.walk.last_steps import LastSteps

__all__ = ["PlainScore"]


@dataclass(frozen=True)
class PlainScore:
    """The network's probabilities, as they are or levelled by size.

    Args:
        size_exponent, size_reference: see :py:func:`monai_rwcp.walk.level_by_size`; 0 leaves them as they are.

    Raises:
        ValueError: when a value is out of its range.

    Example:
        >>> PlainScore().name
        'plain'
    """

    size_exponent: float = 0.0
    size_reference: float = 1.0
    kind: ClassVar[str] = "plain"

    def __post_init__(self) -> None:
        _ = self.last_steps  # which refuses what is out of range

    @property
    def last_steps(self) -> LastSteps:
        """What is done to them."""
        return LastSteps(size_exponent=self.size_exponent, size_reference=self.size_reference)

    @property
    def name(self) -> str:
        """Name for tables."""
        return ", ".join([self.kind, *self.last_steps.in_words])

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {"size_exponent": self.size_exponent, "size_reference": self.size_reference}

    @torch.no_grad()
    def make(
        self,
        probabilities: torch.Tensor,
        features: torch.Tensor | None = None,
        *,
        spacing: Sequence[float] | None = None,
    ) -> torch.Tensor:
        """Make the score of one map: the map itself, unless it is levelled.

        Args:
            probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
            features: not looked at.
            spacing: voxel size along each axis in mm, or None; only ``size_exponent`` looks at it.

        Raises:
            ValueError: when the map is a mask, leaves [0, 1], is batched or not finite.
        """
        check_score(probabilities, "probabilities")
        if not self.size_exponent:
            return probabilities
        values = probabilities.to(torch.promote_types(probabilities.dtype, torch.float32))
        return self.last_steps.take(values, probabilities, spacing).to(probabilities.dtype)

    def record(self, before: ScoreRecord, *, side: Any, spacing: Any = None, features: Any = None) -> ScoreRecord:
        """The record of the score: that of the map, and the level where there is one.

        Args:
            before: the record of the map.
            side: on which side of `Invertd` the map is, see :py:func:`monai_rwcp.provenance.grid_side`.
            spacing: voxel size of the map along each axis in mm; None where it is not known.
            features: not looked at.
        """
        if not self.size_exponent:
            return before
        return before.with_step(RecordedStep("level", {**self.settings, **self.last_steps.unit(spacing)}, side))
