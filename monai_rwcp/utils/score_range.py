"""Whether a map holds probabilities, and what it holds where it does not."""

from __future__ import annotations

import math

import torch

__all__ = ["check_no_mask", "check_range", "looks_like"]

# Cubic splines leave [0, 1] by up to .14 along an axis, and by more than a hundredth near edges alone: their ripples
# run on over most of a small image.
_OVERSHOOT, _RIPPLE, _FEW = 0.5, 0.01, 0.25


def check_range(values: torch.Tensor, name: str) -> None:
    """Refuse a map that leaves [0, 1] by more than rounding, or is not finite.

    Args:
        values: float tensor ``[C, *spatial]``.
        name: what it is called, with its quotes.

    Raises:
        ValueError: when it does; the message says what the values look like and what to do.

    Example:
        >>> check_range(torch.tensor([[[0.2, 0.8]]]), "'pred'")
    """
    if not values.numel():
        raise ValueError(f"Expected values in {name}, but it is empty (shape {tuple(values.shape)}).")
    # NaN and infinity survive the extremes, and looking for these alone takes no memory.
    low, high = (float(value) for value in values.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            f"Expected finite values in {name}, but some are NaN or infinite (shape {tuple(values.shape)}). Look at "
            "what the network gave, or make the map again."
        )
    slack = _slack(values)
    if low < -slack or high > 1 + slack:
        raise ValueError(f"Expected {name} in [0, 1], but it ranges from {low:.4g} to {high:.4g}. {looks_like(values)}")


def check_no_mask(score: torch.Tensor) -> None:
    """Refuse a map of masks, which `AsDiscreted` makes of a score: nothing in it can be thresholded any more.

    An image in which nothing is found may have exact zeros all over a channel, and ones in that of the background.

    Args:
        score: tensor ``[C, *spatial]``.

    Raises:
        ValueError: when it holds nothing but 0 and 1, and both of them in one channel.

    Example:
        >>> check_no_mask(torch.tensor([[[1.0, 1.0]], [[0.0, 0.0]]]))
        >>> check_no_mask(torch.tensor([[[1.0, 0.25]], [[0.0, 0.75]]]))
    """
    # Row by row: the first row of a real score ends it.
    if not all(bool(((row == 0) | (row == 1)).all()) for channel in score for row in channel):
        return
    if any(bool((channel != channel.reshape(-1)[0]).any()) for channel in score if channel.numel()):
        raise ValueError(
            "the score holds nothing but 0 and 1, so it looks like a mask. Take the score before AsDiscreted or "
            "ConformalThresholdd, or keep a copy under another key (CopyItemsd). If it is none, half precision has "
            "rounded it: compute the softmax in float32."
        )


def looks_like(values: torch.Tensor) -> str:
    """What values that are no probabilities look like, and what to do, in a sentence.

    Args:
        values: tensor ``[C, *spatial]`` of which some leave [0, 1].

    Example:
        >>> looks_like(torch.tensor([[[0.0, 40.5, 100.0]]]))
        'This looks like percent: divide by 100.'
    """
    low, high = float(values.min()), float(values.max())
    values = values.double()
    outside = float(((values < -_RIPPLE) | (values > 1 + _RIPPLE)).double().mean())
    if low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT and outside < _FEW:
        return (
            "This looks like overshoot of a cubic interpolation: resample the map linearly, or clip it to [0, 1] at "
            "calibration and prediction alike."
        )
    # The channels of a softmax have one sum everywhere, whatever it was multiplied by.
    total = values.sum(dim=0) if values.shape[0] > 1 else torch.full((1,), math.nan)
    scales = {100: "percent", 255: "8-bit values (0 to 255)"}
    for scale, what in scales.items():
        if bool(((total - scale).abs() < 0.02 * scale).double().mean() > 0.9):
            return f"This looks like {what}: divide by {scale}."
    if high <= 1e-6 and bool(((values.exp().sum(dim=0) - 1).abs() < 0.02).double().mean() > 0.9):
        return "This looks like logarithms of probabilities (LogSoftmax): take exp first."
    if low < 0:
        if bool((values == values.round()).all()) and high > 255:
            return "This looks like an image: name the network's probabilities."
        return "This looks like logits: put Activationsd (softmax or sigmoid) first."
    if bool((values == values.round()).all()) and high < 50:
        return "This looks like numbers of classes: name the network's probabilities, not its segmentation."
    for scale, what in scales.items():
        if scale / 2 <= high <= 1.01 * scale:
            return f"This looks like {what}: divide by {scale}."
    return (
        "These are no probabilities, nor anything known: undo what they were multiplied by, so that they lie in [0, 1]."
    )


def _slack(values: torch.Tensor) -> float:
    return 8 * torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0
