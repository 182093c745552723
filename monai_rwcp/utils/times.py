"""The time, as files tell it."""

from __future__ import annotations

import datetime

__all__ = ["utc_now"]


def utc_now() -> str:
    """The present time in UTC, ISO 8601, to the second.

    Example:
        >>> utc_now().endswith("+00:00")
        True
    """
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
