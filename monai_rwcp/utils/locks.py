"""A lock that one process holds, and that goes with it however it ends."""

from __future__ import annotations

import errno
import os
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from monai_rwcp.utils.times import utc_now

__all__ = ["FileLock", "hold", "is_held"]

_HELD = b"process "
# Windows lets nobody read what is locked. So there a byte is locked that lies behind anything that is written.
_FAR = 1 << 30


class FileLock:
    """A lock on a file, which says who holds it.

    The system takes it from a process that ends, killed or not, so that the file alone locks nothing.

    Args:
        path: the file; it is made, and taken away on release.
        what: what is locked, for the message.

    Raises:
        FileExistsError: when another process holds it; the message says which. Also when something else lies there.
        OSError: when the file cannot be written, as on a full disk; it is not left locked.

    Example:
        >>> import tempfile
        >>> lock = FileLock(Path(tempfile.mkdtemp()) / ".lock", "the folder")
        >>> lock.release()
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self._descriptor: int | None = None
        while self._descriptor is None:
            descriptor = _opened(path)
            try:
                _lock(descriptor)
            except BlockingIOError:
                holder = _read(descriptor, 1000).split(b"\n")[0].decode(errors="replace") or "another process"
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
        # Behind the end of the line stands what a killed process has left.
        told = f"{os.getpid()} on '{socket.gethostname()}' since {utc_now()}\n"
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, _HELD + told.encode())
        except OSError as error:  # such as a full disk: what cannot say who holds it holds nothing
            self.release()
            raise OSError(error.errno, error.strerror, str(path)) from error

    def release(self) -> None:
        """Give the lock back; twice is no error."""
        if self._descriptor is None:
            return
        if sys.platform == "win32":
            import msvcrt

            # Closing gives it back, too, but not at once.
            os.lseek(self._descriptor, _FAR, os.SEEK_SET)
            with suppress(OSError):  # where it could not be locked
                msvcrt.locking(self._descriptor, msvcrt.LK_UNLCK, 1)
            os.close(self._descriptor)
            # It takes no open file away: also not from a process that has opened it in between, and now holds it.
            with suppress(PermissionError):
                self.path.unlink(missing_ok=True)
        else:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
        self._descriptor = None


def hold(descriptor: int) -> int | None:
    """Lock an open file until it is closed or the process ends; where files cannot be locked, close it: None.

    Windows takes no open file away, so that there it is held as it is.
    """
    if sys.platform == "win32":
        return descriptor
    try:
        _lock(descriptor)
        return descriptor
    except OSError:
        os.close(descriptor)
        return None


def is_held(path: Path) -> bool:
    """Whether a process holds a file by :py:func:`hold`, or nothing tells. Windows tells when it is taken away."""
    if sys.platform == "win32":
        return False
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
    said: bytes | None = None
    descriptor: int | None = None
    flags = os.O_RDWR | os.O_CREAT
    if sys.platform == "win32":
        flags |= os.O_BINARY
        # It cannot be asked to follow no link, and opens no folder.
        other = path.is_symlink() or path.is_dir()
    else:
        flags |= os.O_NOFOLLOW
        other = False
    if not other:
        try:
            descriptor = os.open(path, flags, 0o666)
            said = _read(descriptor, len(_HELD))
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.EISDIR):
                raise
    if descriptor is not None and said in (b"", _HELD):
        return descriptor
    if descriptor is not None:
        os.close(descriptor)
    raise FileExistsError(f"'{path}' is no file of a run, which would write there. Take it away.")


def _read(descriptor: int, length: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, length)


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError(*error.args) from error
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is(descriptor: int, path: Path) -> bool:
    if sys.platform == "win32":  # where nobody takes it away while it is open
        return True
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
