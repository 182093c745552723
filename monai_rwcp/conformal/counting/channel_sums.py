"""Whether the channels of a map sum to 1 in every voxel, as those of softmax do and those of sigmoid do not."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from monai_rwcp.conformal.counting.labels import LabelMode

__all__ = ["ChannelSums", "check_background", "check_softmax", "sums_of_channels"]


@dataclass(frozen=True)
class ChannelSums:
    """Sums over the channels of a map, voxels that are 0 in all of them apart.

    Args:
        low, high: the lowest and the highest.
        n_channels: how many channels there are.
        are_one: whether all of them are 1, up to what half precision, files of 8 bits and linear resampling round.
    """

    low: float
    high: float
    n_channels: int
    are_one: bool

    def __str__(self) -> str:
        return f"from {self.low:.3f} to {self.high:.3f}"


def sums_of_channels(score: torch.Tensor) -> ChannelSums | None:
    """The sums over the channels of a map; None where every voxel is 0 in all of them.

    A field of view that was cropped, filled up with zeros and then resampled (`Invertd` of a chain with `Spacingd` and
    `CropForegroundd`) is a box whose faces fade to 0: its sums are 1 all the same.

    Args:
        score: float ``[C, *spatial]``.

    Example:
        >>> print(sums_of_channels(torch.tensor([[0.9, 0.2, 0.0], [0.6, 0.3, 0.0]])))
        from 0.500 to 1.500
    """
    sums = _sums(score)
    low, high = (float(value) for value in sums.aminmax())
    if low == 0:
        low = float(sums.where(sums != 0, torch.inf).min())
    if high == 0 and low == torch.inf:
        return None
    slack = 0.01 + score.shape[0] / 500
    below = high <= 1 + slack
    return ChannelSums(low, high, score.shape[0], below and (low >= 1 - slack or _is_faded_box(sums, slack)))


def check_softmax(score: torch.Tensor, named: str, mend: str) -> None:
    """Refuse a map of probabilities whose channels do not sum to 1 in every voxel.

    What holds no probabilities is left to :py:func:`monai_rwcp.conformal.counting.labels.check_score`.

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
    if sums is not None and not sums.are_one and _are_probabilities(score):
        raise ValueError(
            f"Expected softmax in {named}, whose channels sum to 1 in every voxel, but they sum to numbers {sums}, as "
            f"those of sigmoid do. {mend}"
        )


def check_background(score: torch.Tensor, label_mode: LabelMode) -> None:
    """Refuse a network's own map that has no channel for the background, where labels are class numbers.

    Softmax sums to 1, and sigmoid of classes about to 1, for most voxels are background. Of overlapping regions there
    is no background, and most voxels sum to nearly 0: channel 1 would be taken for class 1, which it is not. What holds
    no probabilities is left to :py:func:`monai_rwcp.conformal.counting.labels.check_score`.

    Args:
        score: float ``[C, *spatial]``, as the network gave it: neither walked nor blurred.
        label_mode: what the labels are.

    Raises:
        ValueError: when most voxels sum to less than a half.

    Example:
        >>> check_background(torch.tensor([[0.9, 0.2], [0.1, 0.8]]), "index")
    """
    if label_mode == "regions" or score.shape[0] == 1 or not score[0].any():
        return
    sums = _sums(score)
    if sums.numel() and float(sums.min()) >= 0.5:
        return
    n_inside = int((sums != 0).sum())
    n_low = int(((sums < 0.5) & (sums != 0)).sum())
    if 2 * n_low > n_inside and _are_probabilities(score):
        raise ValueError(
            "Expected a map whose channels are the classes, the background first, but in most voxels they sum to less "
            f"than a half (the median is {float(sums[sums != 0].median()):.3f}; softmax sums to 1). This looks like "
            'the sigmoid of overlapping regions, which have no background: use label_mode="regions" with a label of a '
            "channel for each region."
        )


def _is_faded_box(sums: torch.Tensor, slack: float) -> bool:
    """Whether sums are 1 in a box, fade to 0 at its faces as linear interpolation does, and are 0 beyond.

    Such sums are the product of what they are along each axis, which those of anything round are not.
    """
    box = torch.ones((), dtype=sums.dtype)
    for axis, n in enumerate(sums.shape):
        along = sums.movedim(axis, 0).reshape(n, -1).amax(dim=1)
        if not 3 * int((along >= 1 - slack).sum()) >= int((along != 0).sum()):
            return False
        box = box[..., None] * along
    return bool(((sums - box).abs() <= slack).all())


def _are_probabilities(score: torch.Tensor) -> bool:
    low, high = score.aminmax()
    return bool(low >= -0.01 and high <= 1.01)


def _sums(score: torch.Tensor) -> torch.Tensor:
    # One channel after the other: several times faster than a sum over the first axis.
    sums = score[0].to(torch.promote_types(score.dtype, torch.float32), copy=True)
    for channel in score[1:]:
        sums += channel
    return sums
