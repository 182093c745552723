"""Small networks whose output is known."""

from __future__ import annotations

import torch


class ClassDistance(torch.nn.Module):
    """Logits of three classes that fall with the distance of a value, such as a class number and noise, from each.

    Args:
        gain: how fast they fall, the only weight.
        size: distance of neighbouring classes.
        spatial_dims: 2 or 3.
    """

    def __init__(self, gain: float = 1.0, size: float = 1.0, spatial_dims: int = 2) -> None:
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(gain))
        self.register_buffer("numbers", torch.arange(3.0).reshape(1, 3, *[1] * spatial_dims), persistent=False)
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -self.gain * (x / self.size - self.numbers) ** 2
