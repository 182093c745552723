"""What the sources of features ask of an image, and how its intensities become a network's input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

__all__ = ["Intensity", "check_image", "checked_intensity", "intensity_name", "scale_intensity"]

Intensity = Literal["none", "percentiles"] | tuple[float, float]

_PERCENTILES = (0.5, 99.5)
_ROUNDING = 1e-5


def check_image(image: torch.Tensor, *, slice_axis: int | None = None, volumes: bool = False) -> None:
    """Refuse what no features can be computed of.

    Args:
        image: what came as an image ``[C, *spatial]``.
        slice_axis: the spatial axis along which a 2D source goes through a volume; None where it takes images.
        volumes: whether the source takes volumes as they are.

    Raises:
        ValueError: when it is no 2D or 3D image, a volume for a source of 2D images or the other way round, not finite,
            or constant.
    """
    shape = tuple(image.shape)
    if image.ndim not in (3, 4):
        raise ValueError(f"Expected one image [channels, *spatial] with 2 or 3 spatial axes, but got shape {shape}.")
    if slice_axis is not None and image.ndim != 4:
        raise ValueError(
            f"Expected a volume to go through along slice_axis={slice_axis}, but got shape {shape}. Leave slice_axis "
            "out for 2D images."
        )
    if image.ndim == 4 and slice_axis is None and not volumes:
        raise ValueError(
            f"Expected one 2D image [channels, height, width], but got shape {shape}. To go through a volume slice by "
            "slice, give slice_axis=2 (the third spatial axis), 1 or 0."
        )
    if not torch.isfinite(image).all():
        raise ValueError(
            f"Expected a finite image, but in shape {shape} some values are NaN or infinite. Replace them before the "
            "features are computed."
        )
    if image.numel() == 0 or image.min() == image.max():
        value = f"all values are {float(image.flatten()[0]):.4g}" if image.numel() else "there are none"
        raise ValueError(
            f"Expected an image whose values vary, but in shape {shape} {value}: every part of it looks alike, so its "
            "features cannot tell neighbours. Leave such images out."
        )


def checked_intensity(intensity: object) -> Intensity:
    """An ``intensity`` argument as it is used; a list, as JSON has it, becomes a tuple.

    Raises:
        ValueError: when it is neither ``"none"``, ``"percentiles"`` nor a window ``(low, high)``.
    """
    if intensity == "none" or intensity == "percentiles":
        return intensity
    if isinstance(intensity, Sequence) and not isinstance(intensity, str) and len(intensity) == 2:
        low, high = (float(value) for value in intensity)
        if math.isfinite(low) and math.isfinite(high) and low < high:
            return low, high
    raise ValueError(
        'Expected `intensity` to be "none" (the image is in [0, 1] already), "percentiles", or a window (low, high) '
        f"with low < high, such as (-160, 240) in HU for soft tissue in CT, but got {intensity!r}."
    )


def intensity_name(intensity: Intensity) -> str:
    """How an intensity step is written into a name.

    Example:
        >>> intensity_name((-160, 240))
        'intensity=-160..240'
    """
    if isinstance(intensity, str):
        return "intensity=none" if intensity == "none" else "intensity=percentiles 0.5..99.5"
    return f"intensity={intensity[0]:g}..{intensity[1]:g}"


def scale_intensity(image: torch.Tensor, intensity: Intensity) -> torch.Tensor:
    r"""Bring an image to [0, 1].

    .. math:: y = \min(1, \max(0, (x - low) / (high - low)))

    with ``low`` and ``high`` the given window, or (``"percentiles"``) the 0.5th and the 99.5th percentile of each
    channel of the whole image or volume. ``"none"`` changes nothing and refuses what is not in [0, 1].

    Args:
        image: finite float tensor of shape ``[C, *spatial]``.
        intensity: ``"none"``, ``"percentiles"`` or ``(low, high)`` in the image's own unit, such as HU.

    Returns:
        float32 tensor of the same shape in [0, 1] (``"none"`` lets rounding errors of 1e-5 pass).

    Raises:
        ValueError: when ``"none"`` meets an image that is not in [0, 1], or the two percentiles of a channel are equal.

    Example:
        >>> import torch
        >>> scale_intensity(torch.tensor([[[-200.0, 40.0, 900.0]]]), (-160, 240))
        tensor([[[0.0000, 0.5000, 1.0000]]])
    """
    image = image.float()
    if intensity == "none":
        low, high = float(image.min()), float(image.max())
        if low < -_ROUNDING or high > 1 + _ROUNDING:
            raise ValueError(
                f"Expected an image in [0, 1], but it ranges from {low:.4g} to {high:.4g}. Give "
                'intensity="percentiles" or, for units that mean the same in every image such as HU, '
                "intensity=(low, high)."
            )
        return image
    if intensity == "percentiles":
        limits = [np.percentile(channel.cpu().numpy(), _PERCENTILES) for channel in image]
    else:
        limits = [np.array(intensity)] * image.shape[0]
    for number, (low, high) in enumerate(limits):
        if not low < high:
            raise ValueError(
                f"Expected the 0.5th and the 99.5th percentile to differ, but in channel {number} both are {low:.4g}: "
                "almost all of it is one value. Give intensity=(low, high), or leave such images out."
            )
    ends = torch.tensor(np.array(limits), dtype=torch.float32, device=image.device)
    start, end = (column.reshape(-1, *[1] * (image.ndim - 1)) for column in ends.unbind(dim=1))
    return ((image - start) / (end - start)).clamp_(0, 1)
