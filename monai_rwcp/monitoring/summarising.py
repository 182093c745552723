"""A few numbers that say what one case and its score look like, without any label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import torch

from monai_rwcp.conformal.counting.labels import LabelMode, calibrated_classes, check_score

__all__ = ["case_summary", "check_summary_thresholds"]


@torch.no_grad()
def case_summary(
    score: torch.Tensor,
    image: torch.Tensor | None = None,
    *,
    thresholds: Sequence[float] = (0.5,),
    include_background: bool = False,
) -> dict[str, float]:
    r"""Summarise one case by its score map and, where there is one, its image.

    For each class and threshold the share of voxels whose score reaches it; the mean over voxels and channels of the
    uncertainty :math:`-s \log_2 s - (1 - s) \log_2 (1 - s)`; of each channel of the image the mean, the standard
    deviation, and the sharpness :math:`\sqrt{\sum_a \overline{(\partial_a I)^2}} / \mathrm{sd}(I)`, with differences
    between neighbouring voxels along each axis (0 for a constant image).

    The thresholds must be chosen before the calibration cases are seen: the calibrated threshold itself was fitted to
    these cases, which makes them differ from new ones even when nothing has changed.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        image: tensor of shape ``[channels, *spatial]`` on any grid, in any unit, finite; None leaves its numbers out.
        thresholds: scores in (0, 1).
        include_background: whether channel 0 of several counts as a class.

    Returns:
        the numbers by their names.

    Raises:
        ValueError: when the score is no score map of one item, the image is not finite or batched, or a threshold is
            not in (0, 1).

    Example:
        >>> import torch
        >>> summary = case_summary(torch.tensor([[[0.5, 0.0]], [[0.5, 1.0]]]), torch.tensor([[[0.0, 2.0]]]))
        >>> {name: round(value, 6) for name, value in summary.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'share of class 1 at 0.5': 1.0, 'uncertainty': 0.5, 'image mean': 1.0, 'image spread': 1.0,
         'image sharpness': 2.0}
    """
    check_score(score)
    check_summary_thresholds(thresholds)
    mode: LabelMode = "index" if score.shape[0] > 1 else "regions"
    summary = {
        f"share of class {c} at {threshold:g}": float((score[c] >= threshold).double().mean())
        for c in calibrated_classes(score.shape[0], mode, include_background)
        for threshold in thresholds
    }
    summary["uncertainty"] = fmean(_mean_bits(channel) for channel in score)
    if image is not None:
        summary |= _image_summary(image)
    return summary


def check_summary_thresholds(thresholds: Sequence[float]) -> None:
    """Refuse thresholds of summaries that are not different scores in (0, 1).

    Raises:
        ValueError: when there is none, one twice, or one outside (0, 1).

    Example:
        >>> check_summary_thresholds((0.1, 0.5))
    """
    if not thresholds or len(set(thresholds)) != len(thresholds) or not all(0.0 < t < 1.0 for t in thresholds):
        raise ValueError(f"Expected `thresholds` to be different numbers in (0, 1), such as (0.5,), got {thresholds}.")


def _image_summary(image: torch.Tensor) -> dict[str, float]:
    if image.ndim not in (3, 4):
        raise ValueError(
            f"Expected the image of one item [channels, *spatial] with 2 or 3 spatial axes, but got shape "
            f"{tuple(image.shape)}. A batch must be split into items first (decollate=True in the evaluator)."
        )
    if not image.numel() or not torch.isfinite(image).all():
        raise ValueError(f"Expected finite values in the image, but some are not (shape {tuple(image.shape)}).")
    summary = {}
    for c, channel in enumerate(image.float()):
        name = "image" if len(image) == 1 else f"image channel {c}"
        mean = channel.mean(dtype=torch.float64)
        spread = float((channel - mean).square().mean(dtype=torch.float64).sqrt())
        steps = [
            float(channel.diff(dim=axis).square().mean(dtype=torch.float64))
            for axis in range(channel.ndim)
            if channel.shape[axis] > 1
        ]
        summary[f"{name} mean"] = float(mean)
        summary[f"{name} spread"] = spread
        summary[f"{name} sharpness"] = math.sqrt(sum(steps)) / spread if spread > 0 else 0.0
    return summary


def _mean_bits(channel: torch.Tensor) -> float:
    # Channel by channel: a volume's score needs no second one beside it.
    inside = channel.to(torch.promote_types(channel.dtype, torch.float32)).clamp(0, 1)
    nats = torch.special.entr(inside) + torch.special.entr(1 - inside)
    return float(nats.mean(dtype=torch.float64)) / math.log(2)
