"""What older releases of torch and transformers call otherwise. Each function says with which lower bound it can go."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed

from monai_rwcp.utils.packages import is_older

__all__ = ["PRODUCTS_IN_FULL", "float32_weights", "leave_processes", "product_precisions", "set_product_precisions"]

# From torch 2.9 on each kind of device has its own switch; before, one tells TF32 and bfloat16 for all.
_PER_DEVICE = hasattr(torch.backends.mkldnn, "matmul")

PRODUCTS_IN_FULL: tuple[str, ...] = ("ieee", "ieee") if _PER_DEVICE else ("highest",)
"""The precisions of matrix products that keep all digits."""


def product_precisions() -> tuple[str, ...]:
    """How precise products of float32 matrices are, on GPU and on CPU. Goes with torch>=2.9.

    Example:
        >>> before = product_precisions()
        >>> set_product_precisions(PRODUCTS_IN_FULL)
        >>> product_precisions() == PRODUCTS_IN_FULL
        True
        >>> set_product_precisions(before)
    """
    if not _PER_DEVICE:
        return (torch.get_float32_matmul_precision(),)
    return tuple(backend.fp32_precision for backend in _backends())


def set_product_precisions(precisions: Sequence[str]) -> None:
    """Set what :py:func:`product_precisions` tells. Goes with torch>=2.9."""
    if not _PER_DEVICE:
        torch.set_float32_matmul_precision(*precisions)
        return
    for backend, precision in zip(_backends(), precisions, strict=True):
        backend.fp32_precision = precision


def float32_weights() -> dict[str, torch.dtype]:
    """The argument of ``from_pretrained`` that loads weights as float32. Goes with transformers>=4.56.

    Example:
        >>> list(float32_weights().values())
        [torch.float32]
    """
    return {"torch_dtype" if is_older("transformers", "4.56") else "dtype": torch.float32}


def leave_processes() -> None:
    """Leave the group of processes that `torch.distributed` has joined. The pause goes with torch>=2.9.

    Before, torch held Python's lock while it waited for the group's threads, and stood still for ever where one of them
    needed the lock to let go of the last tensor. In the pause it gets the lock.
    """
    if is_older("torch", "2.9"):
        time.sleep(0.2)
    torch.distributed.destroy_process_group()


def _backends() -> tuple[Any, Any]:
    return torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
