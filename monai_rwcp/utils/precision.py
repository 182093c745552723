"""Matrix products with all their digits, whatever the user has allowed elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from monai_rwcp.utils.older_versions import PRODUCTS_IN_FULL, product_precisions, set_product_precisions

__all__ = ["full_precision"]

# The switches belong to the whole process: the first thread that comes in turns them, the last one turns them back.
_lock = threading.Lock()
_inside = 0
_before: tuple[str, ...] = ()


@contextmanager
def full_precision() -> Iterator[None]:
    """Switch autocast, TF32 and bfloat16 products of float32 matrices off, and back to what they were.

    With them similarities and resampled or blurred maps would be off in the third digit: neighbours would no longer be
    the nearest, and constants not stay constant. Several threads may be inside at once.

    Example:
        >>> with full_precision():
        ...     product_precisions() == PRODUCTS_IN_FULL
        True
    """
    global _inside, _before
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = product_precisions()
            set_product_precisions(PRODUCTS_IN_FULL)
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                set_product_precisions(_before)
