"""Reading the truth: from a label map in any of its forms to one mask a class."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from monai_rwcp.utils.arguments import check_choice
from monai_rwcp.utils.score_range import check_range, looks_like

__all__ = [
    "LabelMode",
    "calibrated_classes",
    "check_label",
    "check_score",
    "check_single_channel",
    "truth_masks",
]

LabelMode = Literal["index", "one_hot", "regions"]
"""What labels are: class numbers, one channel a class, or overlapping regions."""


def calibrated_classes(n_channels: int, label_mode: LabelMode, include_background: bool) -> tuple[int, ...]:
    """Channel numbers that get a threshold: all regions, or all classes but the background unless asked for.

    Example:
        >>> calibrated_classes(4, "index", include_background=False)
        (1, 2, 3)
    """
    first = 0 if include_background or label_mode == "regions" else 1
    return tuple(range(first, n_channels))


def check_score(score: torch.Tensor, key: str = "score") -> None:
    """Refuse what is not a score map of one item: masks, logits, batches, NaN.

    Args:
        score: to be a float tensor of shape ``[C, *spatial]``, 2D or 3D, in [0, 1] up to rounding.
        key: name of the score in messages.

    Raises:
        ValueError: when it is not; the message says what it looks like and what to do.

    Example:
        >>> import torch
        >>> check_score(torch.tensor([[[0.2, 0.8]]]))
    """
    shape = tuple(score.shape)
    if score.ndim not in (3, 4):
        raise ValueError(
            f"Expected '{key}' to be one item [channels, *spatial] with 2 or 3 spatial axes, but got shape {shape}. "
            "A batch must be split into items first (decollate=True in the evaluator)."
        )
    if not score.is_floating_point():
        mask = not score.numel() or score.dtype == torch.bool or bool(score.aminmax().max <= 1)
        what = (
            "which looks like a mask. Take the score before AsDiscreted or ConformalThresholdd, or keep a copy under "
            "another key."
            if mask
            else f"a whole-number type, with values up to {int(score.max())}. {looks_like(score)}"
        )
        raise ValueError(f"Expected '{key}' to hold probabilities, but its dtype is {score.dtype}, {what}")
    check_range(score, f"'{key}'")


def check_label(label: torch.Tensor, score: torch.Tensor, label_mode: LabelMode) -> None:
    """Refuse a label that is not on the grid of its score, or not in the form that was named.

    Args:
        label: to be ``[1, *spatial]`` (``"index"``) or ``[C, *spatial]``.
        score: ``[C, *spatial]``.
        label_mode: which form the label has.

    Raises:
        ValueError: when it is not.

    Example:
        >>> import torch
        >>> check_label(torch.tensor([[[0, 1]]]), torch.rand(2, 1, 2), "index")
    """
    check_choice("label_mode", label_mode, get_args(LabelMode))
    channels = 1 if label_mode == "index" else score.shape[0]
    if tuple(label.shape) != (channels, *score.shape[1:]):
        mend = "Label and score must be on the same grid: both before, or both after Invertd."
        if label.shape[1:] == score.shape[1:]:
            mend = 'One channel is label_mode="index", one for each class is "one_hot" or "regions".'
        raise ValueError(
            f'Expected a label of shape {(channels, *score.shape[1:])} for label_mode="{label_mode}" and a score of '
            f"shape {tuple(score.shape)}, but got {tuple(label.shape)}. {mend}"
        )
    if label_mode == "index" and score.shape[0] == 1:
        raise ValueError(
            'A score of one channel has no background channel, so class numbers do not fit it: use label_mode="'
            'regions" with a label of zeros and ones.'
        )


def check_single_channel(name: str, value: torch.Tensor, score: torch.Tensor) -> None:
    """Refuse a map of one number a voxel, such as a mask, that is not on the grid of its score.

    Args:
        name: what the map is, for the message.
        value: to be ``[1, *spatial]``.
        score: ``[C, *spatial]``.

    Raises:
        ValueError: when it is not.

    Example:
        >>> import torch
        >>> check_single_channel("mask", torch.ones(1, 4, 4), torch.rand(2, 4, 4))
    """
    if tuple(value.shape) != (1, *score.shape[1:]):
        raise ValueError(
            f"Expected a {name} of shape {(1, *score.shape[1:])} for a score of shape {tuple(score.shape)}, but got "
            f"{tuple(value.shape)}."
        )


def truth_masks(
    label: torch.Tensor,
    score: torch.Tensor,
    classes: tuple[int, ...],
    label_mode: LabelMode,
    counted: torch.Tensor | None = None,
) -> dict[int, torch.Tensor]:
    """Split a label into one mask of counted true voxels for each class.

    Args:
        label: ``[1, *spatial]`` class numbers (``"index"``), ``[C, *spatial]`` zeros and ones of which exactly one
            is set in a voxel (``"one_hot"``), or any number (``"regions"``).
        score: ``[C, *spatial]``, for its shape.
        classes: classes wanted.
        label_mode: which form the label has.
        counted: bool ``[*spatial]``; labels elsewhere are neither read nor checked. None counts all voxels.

    Returns:
        bool tensor of shape ``[*spatial]`` for each class.

    Raises:
        ValueError: when the label has another form, another size or values outside the classes.

    Example:
        >>> import torch
        >>> truth_masks(torch.tensor([[[0, 1, 1]]]), torch.rand(2, 1, 3), (1,), "index")[1].tolist()
        [[False, True, True]]
    """
    check_label(label, score, label_mode)
    if label.dtype == torch.bool:
        label = label.to(torch.uint8)
    values = label if counted is None else label[:, counted]
    if label_mode == "index":
        valid = (values >= 0) & (values < score.shape[0])
        if values.is_floating_point():
            valid &= values == values.round()
        expected = f"class numbers from 0 to {score.shape[0] - 1}"
    else:
        valid = (values == 0) | (values == 1)
        expected = "zeros and ones"
    if not valid.all():
        # As text, in which every NaN is the same.
        wrong = {f"{v:g}": v for v in values[~valid][:1000].tolist()}
        shown = ", ".join(sorted(wrong, key=wrong.__getitem__)[:5])
        raise ValueError(
            f"Expected {expected} in the label, but it also holds {shown}. Map these to classes, or leave them out "
            "with a mask (`mask_key`) that is 0 there."
        )
    if label_mode == "one_hot" and not (values.sum(dim=0) == 1).all():
        raise ValueError(
            "Expected exactly one class in every voxel of a one-hot label, but some voxels have none or several. "
            'Overlapping structures are label_mode="regions".'
        )
    masks = {c: label[0] == c if label_mode == "index" else label[c] == 1 for c in classes}
    return masks if counted is None else {c: mask & counted for c, mask in masks.items()}
