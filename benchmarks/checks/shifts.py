"""Changes a deployed network meets, simulated on real images in [0, 1]."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from monai.transforms import GaussianSmooth


def darker(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Another intensity curve: gamma 1.5."""
    return image**1.5


def blurred(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A Gaussian blur of 1 pixel."""
    return torch.as_tensor(GaussianSmooth(1.0)(image)).clamp(0, 1)


def other_scanner(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Pixels 1.5 times as large, 0.8 times the contrast, and noise of 0.03."""
    size = image.shape[1:]
    coarse = F.interpolate(image[None], [round(n / 1.5) for n in size], mode="area")
    image = F.interpolate(coarse, size, mode="bilinear", align_corners=False)[0]
    noise = torch.randn(image.shape, generator=generator)
    return (0.5 + 0.8 * (image - 0.5) + 0.03 * noise).clamp(0, 1)


SHIFTS: dict[str, Callable[[torch.Tensor, torch.Generator], torch.Tensor]] = {
    "intensity: gamma 1.5": darker,
    "blur: 1 px": blurred,
    "other scanner: 1.5 x coarser, 0.8 x contrast, noise 0.03": other_scanner,
}


class ShiftImage:
    """Change the image of an item, with random numbers of its own for each case."""

    def __init__(self, shift: Callable[[torch.Tensor, torch.Generator], torch.Tensor]) -> None:
        self.shift = shift

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        generator = torch.Generator().manual_seed(zlib.crc32(d["case"].encode()))
        d["image"] = self.shift(d["image"], generator)
        return d
