"""The error of a process that ends because of another one's."""

from __future__ import annotations

__all__ = ["ToldElsewhereError"]


class ToldElsewhereError(RuntimeError):
    """What ended another process ends this one, too; that one tells it."""
