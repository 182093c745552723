"""A progress bar, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from monai_rwcp.utils.packages import needed

__all__ = ["Advance", "shown_progress"]

Advance = Callable[[int], object]
"""Called with how many are done since it was last called."""


@contextmanager
def shown_progress(total: int, shown: bool, title: str, unit: str) -> Iterator[Advance]:
    """Show a progress bar, or nothing.

    Args:
        total: number of things to do in all.
        shown: whether a bar is shown.
        title: what is done.
        unit: what is counted.

    Raises:
        ImportError: when a bar is wanted and tqdm is not installed.

    Example:
        >>> with shown_progress(10, shown=False, title="search", unit="node") as advance:
        ...     _ = advance(10)
    """
    if not shown:
        yield lambda count: None
        return
    with needed("progress=True needs", "progress", "tqdm", otherwise=", or leave progress=False"):
        from tqdm import tqdm
    with tqdm(total=total, desc=title, unit=unit, unit_scale=True) as bar:
        yield bar.update
