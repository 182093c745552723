"""The network's probabilities as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from monai_rwcp.conformal.counting.labels import check_score
from monai_rwcp.provenance.record import ScoreRecord

__all__ = ["PlainScore"]


@dataclass(frozen=True)
class PlainScore:
    """The network's probabilities as they are.

    Example:
        >>> PlainScore().name
        'plain'
    """

    kind: ClassVar[str] = "plain"

    @property
    def name(self) -> str:
        """Name for tables."""
        return self.kind

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {}

    def make(
        self,
        probabilities: torch.Tensor,
        features: torch.Tensor | None = None,
        *,
        spacing: Sequence[float] | None = None,
    ) -> torch.Tensor:
        """Make the score of one map: the map itself.

        Args:
            probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
            features: not looked at.
            spacing: not looked at.

        Raises:
            ValueError: when the map is a mask, leaves [0, 1], is batched or not finite.
        """
        check_score(probabilities, "probabilities")
        return probabilities

    def record(self, before: ScoreRecord, *, side: Any, spacing: Any = None, features: Any = None) -> ScoreRecord:
        """The record of the score: that of the map.

        Args:
            before: the record of the map.
            side, spacing, features: not looked at.
        """
        return before
