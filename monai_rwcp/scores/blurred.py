"""Probabilities blurred by a Gaussian."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from monai.networks.layers import gaussian_1d

from monai_rwcp.conformal.counting.labels import check_score
from monai_rwcp.provenance.record import RecordedStep, ScoreRecord
from monai_rwcp.utils.precision import full_precision
from monai_rwcp.walk.last_steps import LastSteps

__all__ = ["BlurredScore"]


@dataclass(frozen=True)
class BlurredScore:
    r"""Probabilities blurred by a Gaussian, its borders held by the weight that lies inside the image.

    .. math:: b(x) = (G_\sigma * p)(x) \,/\, (G_\sigma * 1)(x)

    MONAI's kernel, cut off at four standard deviations.

    Args:
        sigma: its standard deviation in voxels of the map, the same along each axis; above 0.
        keep_peak, keep_sure, size_exponent, size_reference: the last steps after it, see :py:class:`LastSteps`.

    Raises:
        ValueError: when ``sigma`` is not a finite number above 0, or another value out of its range.

    Example:
        >>> BlurredScore(2.0).name
        'blur 2'
        >>> BlurredScore(2.0).make(torch.ones(1, 4, 4)).allclose(torch.ones(1, 4, 4))
        True
    """

    sigma: float
    keep_peak: bool = False
    keep_sure: float | None = None
    size_exponent: float = 0.0
    size_reference: float = 1.0
    kind: ClassVar[str] = "blur"

    def __post_init__(self) -> None:
        fits = isinstance(self.sigma, (int, float)) and not isinstance(self.sigma, bool)
        if not fits or not 0 < self.sigma < math.inf:
            raise ValueError(f"Expected `sigma` to be a number of voxels above 0, but got {self.sigma!r}.")
        _ = self.last_steps  # which refuses what is out of range

    @property
    def last_steps(self) -> LastSteps:
        """What is done after the blur."""
        return LastSteps(self.keep_peak, self.keep_sure, self.size_exponent, self.size_reference)

    @property
    def name(self) -> str:
        """Name for tables."""
        return ", ".join([f"blur {self.sigma:g}", *self.last_steps.in_words])

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {"sigma": self.sigma, **self.last_steps.settings}

    @torch.no_grad()
    def make(
        self,
        probabilities: torch.Tensor,
        features: torch.Tensor | None = None,
        *,
        spacing: Sequence[float] | None = None,
    ) -> torch.Tensor:
        """Make the score of one map.

        Args:
            probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
            features: not looked at.
            spacing: voxel size along each axis in mm, or None; only ``size_exponent`` looks at it: ``sigma`` is in
                voxels.

        Returns:
            tensor of the same shape and dtype, in [0, 1].

        Raises:
            ValueError: when the map is a mask, leaves [0, 1], is batched or not finite.
        """
        check_score(probabilities, "probabilities")
        values = probabilities.to(torch.promote_types(probabilities.dtype, torch.float32))
        with full_precision():
            for axis in range(1, values.ndim):
                weights = _blur_weights(values.shape[axis], self.sigma).to(values)
                # By a matrix: MONAI's filter takes gigabytes for a wide kernel in 3D.
                values = (values.movedim(axis, -1) @ weights.T).movedim(-1, axis)
        return self.last_steps.take(values, probabilities, spacing).to(probabilities.dtype).contiguous()

    def record(self, before: ScoreRecord, *, side: Any, spacing: Any = None, features: Any = None) -> ScoreRecord:
        """The record of the score.

        Args:
            before: the record of the map.
            side: on which side of `Invertd` the map is, see :py:func:`monai_rwcp.provenance.grid_side`.
            spacing: voxel size of the map along each axis in mm; None where it is not known.
            features: not looked at.
        """
        return before.with_step(RecordedStep(self.kind, {**self.settings, **self.last_steps.unit(spacing)}, side))


def _blur_weights(n: int, sigma: float) -> torch.Tensor:
    """What each of n voxels in a row takes from each, ``[n, n]``, rows adding up to 1."""
    kernel = gaussian_1d(torch.tensor(sigma))
    tail = len(kernel) // 2
    offset = torch.arange(n)[:, None] - torch.arange(n)
    weights = torch.where(offset.abs() <= tail, kernel[offset.clamp(-tail, tail) + tail], 0)
    return weights / weights.sum(dim=1, keepdim=True)
