"""A lock that one process holds, and that goes with it however it ends."""

from __future__ import annotations

import errno
import os
import socket
import sys
import warnings
from pathlib import Path

from monai_rwcp.utils.times import utc_now

__all__ = ["FileLock", "hold", "is_held"]

_HELD = b"process "


class FileLock:
    """A lock on a file, which says who holds it.

    The system takes it from a process that ends, killed or not, so that the file alone locks nothing. Windows has no
    such locks: there nothing is locked.

    Args:
        path: the file; it is made, and taken away on release.
        what: what is locked, for the message.

    Raises:
        FileExistsError: when another process holds it; the message says which. Also when something else lies there.

    Example:
        >>> import tempfile
        >>> lock = FileLock(Path(tempfile.mkdtemp()) / ".lock", "the folder")
        >>> lock.release()
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._descriptor: int | None = None
        while sys.platform != "win32" and self._descriptor is None:
            descriptor = _opened(path)
            try:
                _lock(descriptor)
            except BlockingIOError:
                holder = os.read(descriptor, 1000).decode(errors="replace") or "another process"
                os.close(descriptor)
                raise FileExistsError(
                    f"{what} is written by {holder}. Wait for it, end it, or name another folder."
                ) from None
            except OSError as error:
                warnings.warn(f"{what} cannot be locked ({error}): start no second run there.", stacklevel=3)
            if _is(descriptor, path):
                self._descriptor = descriptor
            else:  # its holder has taken it away meanwhile
                os.close(descriptor)
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, _HELD + f"{os.getpid()} on '{socket.gethostname()}' since {utc_now()}".encode())

    def release(self) -> None:
        """Give the lock back; twice is no error."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def hold(descriptor: int) -> int | None:
    """Lock an open file until it is closed or the process ends; where files cannot be locked, close it: None."""
    if sys.platform != "win32":
        try:
            _lock(descriptor)
            return descriptor
        except OSError:
            pass
    os.close(descriptor)
    return None


def is_held(path: Path) -> bool:
    """Whether a process holds a file by :py:func:`hold`, or nothing tells."""
    if sys.platform == "win32":
        return True
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return True
    try:
        _lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _opened(path: Path) -> int:
    """Open the file of a lock, and nothing that a link leads to, nor what somebody else has written."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        said = os.pread(descriptor, len(_HELD), 0)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
        said = None
    if said not in (b"", _HELD):
        if said is not None:
            os.close(descriptor)
        raise FileExistsError(f"'{path}' is no file of a run, which would write there. Take it away.")
    return descriptor


def _lock(descriptor: int) -> None:
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
