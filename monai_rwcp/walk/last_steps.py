"""The last steps of a score: peaks and what is sure are kept, and levels are made fair to small structures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

__all__ = ["LastSteps", "keep_peaks", "keep_sure", "level_by_size", "size_unit"]

_LARGEST_EXPONENT = 0.5
# So that the walk still orders voxels that the network calls exactly 0 or 1.
_SUREST = 0.999


@dataclass(frozen=True)
class LastSteps:
    """The last steps of making a score, in the order in which they are taken.

    Args:
        keep_peak: whether each channel is scaled to keep its highest value, see :py:func:`keep_peaks`.
        keep_sure: exponent of how much of what the network is sure of stays, see :py:func:`keep_sure`; None for
            nothing.
        size_exponent: how much lower the thresholds of small structures are, in [0, 0.5], see
            :py:func:`level_by_size`; 0 for not at all.
        size_reference: size from which on structures count as large, above 0; in ml (mm2 in 2D), or in voxels where
            the spacing is not known.

    Raises:
        ValueError: when a value is out of its range; the message names it.

    Example:
        >>> LastSteps(size_exponent=0.25).in_words
        ['size_exponent=0.25']
    """

    keep_peak: bool = False
    keep_sure: float | None = None
    size_exponent: float = 0.0
    size_reference: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.keep_peak, bool):
            raise ValueError(f"Expected `keep_peak` to be True or False, but got {self.keep_peak!r}.")
        if self.keep_sure is not None and not _is_number(self.keep_sure, 0.0, math.inf):
            raise ValueError(
                f"Expected `keep_sure` to be None (off) or an exponent from 0 on, such as 4, got {self.keep_sure!r}."
            )
        if not _is_number(self.size_exponent, 0.0, _LARGEST_EXPONENT):
            raise ValueError(
                f"Expected `size_exponent` to be a number in [0, {_LARGEST_EXPONENT}], such as 0.25, but got "
                f"{self.size_exponent!r}. Above, thresholds of large structures are so high that sets of all "
                "structures become much larger at the same promise."
            )
        if not _is_number(self.size_reference, 0.0, math.inf) or self.size_reference == 0:
            raise ValueError(f"Expected `size_reference` to be a size above 0, but got {self.size_reference!r}.")

    @property
    def in_words(self) -> list[str]:
        """Those that are taken, for a name."""
        words = ["keep_peak"] if self.keep_peak else []
        words += [f"keep_sure={self.keep_sure:g}"] if self.keep_sure is not None else []
        words += [f"size_exponent={self.size_exponent:g}"] if self.size_exponent else []
        return words + (
            [f"size_reference={self.size_reference:g}"] if self.size_exponent and self.size_reference != 1 else []
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of them."""
        return asdict(self)

    def unit(self, spacing: Any) -> dict[str, Any]:
        """What the record of a score keeps of the unit of sizes: nothing where sizes are not looked at."""
        if not self.size_exponent:
            return {}
        # What stands for a spacing that only a run tells stands for the unit, too.
        return {"size_unit": size_unit(spacing) if isinstance(spacing, Sequence | None) else spacing}

    def take(
        self, smoothed: torch.Tensor, probabilities: torch.Tensor, spacing: Sequence[float] | None = None
    ) -> torch.Tensor:
        """Take them.

        Args:
            smoothed: float tensor of shape ``[C, *spatial]``, at least 0 (rounding may leave it a little above 1).
            probabilities: the network's own map, of the same shape, in [0, 1].
            spacing: voxel size along each axis in mm; None where it is not known.

        Returns:
            tensor of the shape and dtype of ``smoothed``, in [0, 1].
        """
        score = keep_peaks(smoothed, probabilities) if self.keep_peak else smoothed
        # Every smoothing is a weighted mean, so the exact result is in [0, 1]; only rounding can leave it.
        score = score.clamp(0, 1)
        if self.keep_sure is not None:
            score = keep_sure(score, probabilities, self.keep_sure)
        if self.size_exponent:
            score = level_by_size(score, self.size_exponent, self.size_reference, spacing)
        return score


def keep_peaks(smoothed: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    r"""Scale each channel of a smoothed map so that its highest value is that of the map it was made of.

    .. math:: s'_c(x) = s_c(x) \, \frac{\max_y p_c(y)}{\max_y s_c(y)}

    Smoothing wears small structures down more than large ones, so that a common threshold loses them first.

    Args:
        smoothed: float tensor of shape ``[C, *spatial]``, at least 0; a channel of zeros stays as it is.
        probabilities: what it was made of, of the same shape, in [0, 1].

    Returns:
        tensor of the shape and dtype of ``smoothed``.

    Example:
        >>> import torch
        >>> keep_peaks(torch.tensor([[0.25, 0.5]]), torch.tensor([[0.0, 1.0]]))
        tensor([[0.5000, 1.0000]])
    """
    axes = tuple(range(1, smoothed.ndim))
    before, after = probabilities.to(smoothed.dtype).amax(axes, keepdim=True), smoothed.amax(axes, keepdim=True)
    return smoothed * torch.where(after > 0, before / after, 1.0)


def keep_sure(smoothed: torch.Tensor, probabilities: torch.Tensor, exponent: float) -> torch.Tensor:
    r"""Mix a smoothed map with the network's own, which counts the more the surer the network is.

    .. math:: s'_c(x) = w\, p_c(x) + (1 - w)\, s_c(x), \qquad
        w = \min\{(1 - 4 p_c(x) (1 - p_c(x)))^q,\; 0.999\}

    Smoothing gains where the network doubts, at borders; where it is sure, of a small structure or of its absence, it
    is mostly right. Even there a thousandth of the smoothed map is left, which orders voxels that the network calls
    exactly 0 or 1.

    Args:
        smoothed: float tensor of shape ``[C, *spatial]`` in [0, 1].
        probabilities: the network's own map, of the same shape, in [0, 1].
        exponent: q, from 0 on. 0 is all but the network alone; the larger, the more the smoothed map is heard.

    Returns:
        tensor of the shape and dtype of ``smoothed``, in [0, 1].

    Example:
        >>> import torch
        >>> keep_sure(torch.tensor([[0.2, 0.2]]), torch.tensor([[0.5, 1.0]]), 4.0)
        tensor([[0.2000, 0.9992]])
    """
    own = probabilities.to(smoothed.dtype)
    weight = (1 - 4 * own * (1 - own)).clamp_(0, 1).pow_(exponent).clamp_(max=_SUREST)
    return torch.lerp(smoothed, own, weight).clamp_(0, 1)


def level_by_size(
    score: torch.Tensor, exponent: float, reference: float = 1.0, spacing: Sequence[float] | None = None
) -> torch.Tensor:
    r"""Lower each channel of a score by how large its structure seems to be in this image.

    .. math:: s'_c(x) = s_c(x) \left(\frac{m_0}{m_0 + m_c}\right)^e, \qquad m_c = v \sum_x s_c(x)

    with ``v`` the size of a voxel. One threshold for all images is then lower for small structures than for large
    ones. A fixed map of one image that changes the order of no two voxels of a channel, so any promise of a threshold
    holds as before.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        exponent: e, in [0, 0.5].
        reference: :math:`m_0`, above 0, in the unit that :py:func:`size_unit` gives.
        spacing: voxel size along each axis in mm; None where it is not known, and voxels are counted.

    Returns:
        tensor of the shape and dtype of ``score``, in [0, 1].

    Example:
        >>> import torch
        >>> level_by_size(torch.tensor([[1.0, 1.0, 1.0, 0.0]]), 0.5)
        tensor([[0.5000, 0.5000, 0.5000, 0.0000]])
    """
    voxel = 1.0 if spacing is None else math.prod(spacing) / (1000.0 if len(spacing) == 3 else 1.0)
    factors = [(reference / (reference + voxel * _sum(channel))) ** exponent for channel in score]
    return score * torch.tensor(factors, dtype=score.dtype, device=score.device).reshape(-1, *(1,) * (score.ndim - 1))


def size_unit(spacing: Sequence[float] | None) -> str:
    """Unit in which sizes of structures are measured: ``"ml"``, in 2D ``"mm2"``, without a spacing ``"voxels"``.

    Example:
        >>> size_unit([1.5, 1.5]), size_unit(None)
        ('mm2', 'voxels')
    """
    if spacing is None:
        return "voxels"
    return "ml" if len(spacing) == 3 else "mm2"


def _sum(channel: torch.Tensor) -> float:
    """Sum of values in [0, 1], the same in whatever order: of whole numbers below 2^53, which are added exactly."""
    return float((channel.to(torch.float64) * 2**24).round_().sum()) / 2**24


def _is_number(value: object, lowest: float, highest: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and lowest <= value <= highest
