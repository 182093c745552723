"""Matrix products with all their digits, whatever the user has allowed elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["full_precision"]

# The switches belong to the whole process: the first thread that comes in turns them, the last one turns them back.
_lock = threading.Lock()
_inside = 0
_before: list[str] = []


@contextmanager
def full_precision() -> Iterator[None]:
    """Switch autocast, TF32 and bfloat16 products of float32 matrices off, and back to what they were.

    With them similarities and resampled or blurred maps would be off in the third digit: neighbours would no longer be
    the nearest, and constants not stay constant. Several threads may be inside at once.

    Example:
        >>> import torch
        >>> with full_precision():
        ...     torch.backends.cuda.matmul.fp32_precision
        'ieee'
    """
    global _inside
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    with _lock:
        _inside += 1
        if _inside == 1:
            _before[:] = [backend.fp32_precision for backend in backends]
            for backend in backends:
                backend.fp32_precision = "ieee"
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for backend, precision in zip(backends, _before, strict=True):
                    backend.fp32_precision = precision
