"""Reading a file whole: a compressed one is unpacked to its end, where the check sum is."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

__all__ = ["read_unpacked", "unreadable"]

_GZIP = b"\x1f\x8b"


def read_unpacked(path: str | Path) -> bytes:
    """Read a file; one that gzip has compressed is unpacked, whatever it is called.

    Readers that stop when they have as many values as they expect never see the check sum, and take a damaged stream
    for other values.

    Raises:
        OSError: when it cannot be opened; the message names it.
        ValueError: when it is damaged; the message names it.
    """
    packed = Path(path).read_bytes()
    if not packed.startswith(_GZIP):
        return packed
    try:
        return gzip.decompress(packed)
    except (zlib.error, EOFError, OSError, MemoryError) as error:
        raise unreadable(path, error) from error


def unreadable(path: str | Path, error: Exception) -> ValueError:
    """What to say of a file that cannot be read, in one line.

    Example:
        >>> print(unreadable("anna.nii.gz", EOFError()))
        'anna.nii.gz' cannot be read; it may be truncated, damaged, or something else by another name (EOFError). ...
    """
    said = " ".join(str(error).split())
    why = type(error).__name__ if not said else f"{type(error).__name__}: {said:.300}"
    return ValueError(
        f"'{path}' cannot be read; it may be truncated, damaged, or something else by another name ({why}). Export or "
        "copy it again."
    )
