"""Whether the channels of a map sum to 1 in every voxel, as those of softmax do and those of sigmoid do not."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["ChannelSums", "check_softmax", "sums_of_channels"]

# Half precision, files of 8 bits and linear resampling stay within; the sigmoid of regions does not come near.
_ROUNDED = 0.01


@dataclass(frozen=True)
class ChannelSums:
    """Sums over the channels of a map, voxels that are 0 in all of them apart.

    Args:
        low, high: the lowest and the highest.
    """

    low: float
    high: float

    @property
    def are_one(self) -> bool:
        """Whether all of them are 1 up to rounding."""
        return self.low >= 1 - _ROUNDED and self.high <= 1 + _ROUNDED

    def __str__(self) -> str:
        return f"from {self.low:.3f} to {self.high:.3f}"


def sums_of_channels(score: torch.Tensor) -> ChannelSums | None:
    """The sums over the channels of a map; None where every voxel is 0 in all of them.

    Args:
        score: float ``[C, *spatial]``.

    Example:
        >>> print(sums_of_channels(torch.tensor([[0.9, 0.2, 0.0], [0.6, 0.3, 0.0]])))
        from 0.500 to 1.500
    """
    sums = score.sum(dim=0, dtype=torch.promote_types(score.dtype, torch.float32))
    sums = sums[(score != 0).any(dim=0)]
    return None if not sums.numel() else ChannelSums(*(float(value) for value in sums.aminmax()))


def check_softmax(score: torch.Tensor, named: str, mend: str) -> None:
    """Refuse a map whose channels do not sum to 1 in every voxel.

    Args:
        score: float ``[C, *spatial]``.
        named: what it is called, in the message.
        mend: what to do, for the message.

    Raises:
        ValueError: when they do not; the message tells the sums that were found.

    Example:
        >>> check_softmax(torch.tensor([[0.9, 0.2], [0.1, 0.8]]), "'anna.npz'", "Mend it.")
    """
    sums = sums_of_channels(score)
    if sums is not None and not sums.are_one:
        raise ValueError(
            f"Expected softmax in {named}, whose channels sum to 1 in every voxel, but they sum to numbers {sums}, as "
            f"those of sigmoid do. {mend}"
        )
