"""Probabilities after a random walk over the image's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch

from monai_rwcp.provenance.record import RecordedStep, ScoreRecord
from monai_rwcp.walk.diffusion import diffuse_probabilities
from monai_rwcp.walk.neighbor_search import Backend
from monai_rwcp.walk.settings import WalkSettings

__all__ = ["WalkedScore"]


@dataclass(frozen=True)
class WalkedScore:
    """Probabilities after a random walk.

    Args:
        walk: settings of the walk.
        source: name of the features it goes by.

    Example:
        >>> from monai_rwcp.walk import recommended
        >>> WalkedScore(recommended()).name
        'walk k=20 beta=20 n_steps=20 restart=0.2 centred spatial_weight=3 grid=4'
    """

    walk: WalkSettings = field(default_factory=WalkSettings)
    source: str = "features"
    kind: ClassVar[str] = "walk"

    @property
    def name(self) -> str:
        """Name for tables, with what differs from no restart, no centring and so on."""
        w = self.walk
        parts = [f"walk k={w.k} beta={w.beta:g} n_steps={w.n_steps} restart={w.restart:g}"]
        parts += ["centred"] if w.center else []
        parts += [f"spatial_weight={w.spatial_weight:g}"] if w.spatial_weight else []
        parts += [f"grid={w.grid}"] if w.grid != "features" else []
        parts += [f"neighborhood={w.neighborhood}"] if w.neighborhood != "volume" else []
        parts += ["keep_peak"] if w.keep_peak else []
        parts += [f"on {self.source}"] if self.source != "features" else []
        return " ".join(parts)

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {**self.walk, "source": self.source}

    def make(
        self,
        probabilities: torch.Tensor,
        features: torch.Tensor | None = None,
        *,
        spacing: Sequence[float] | None = None,
        backend: Backend = "auto",
        progress: bool = False,
    ) -> torch.Tensor:
        """Make the score of one map.

        Args:
            probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
            features: float tensor of shape ``[F, *grid]`` of the same image.
            spacing: voxel size along each axis in mm; None where it is not known.
            backend, progress: see :py:func:`monai_rwcp.walk.diffuse_probabilities`.

        Returns:
            tensor of the same shape and dtype, in [0, 1].

        Raises:
            ValueError: when there are no features, or as :py:func:`monai_rwcp.walk.diffuse_probabilities`.
        """
        if features is None:
            raise ValueError(
                f"The score is a walk by the features '{self.source}', but there are none. Put DenseFeaturesd with "
                "that source first."
            )
        return diffuse_probabilities(
            probabilities, features, self.walk, spacing=spacing, backend=backend, progress=progress
        )

    def record(self, before: ScoreRecord, *, side: Any, spacing: Any = None, features: Any = None) -> ScoreRecord:
        """The record of the score.

        Args:
            before: the record of the map.
            side: on which side of `Invertd` the map is, see :py:func:`monai_rwcp.provenance.grid_side`.
            spacing: voxel size of the map along each axis in mm; None where it is not known.
            features: what is known of the features, as JSON values; None where nothing is.
        """
        # The name of the source is the user's own, and `features` tells one source from another.
        step = RecordedStep(self.kind, dict(**self.walk), side, "unrecorded" if features is None else features)
        made = before.with_step(step)
        return made if spacing is None else replace(made, spacing=spacing)
