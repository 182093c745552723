"""Arrays of an item as plain tensors."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor

__all__ = ["item_tensor"]


def item_tensor(value: Any) -> torch.Tensor:
    """An array of an item as a plain tensor, without meta data.

    Example:
        >>> item_tensor([1.0, 2.0]).tolist()
        [1.0, 2.0]
    """
    return value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)
