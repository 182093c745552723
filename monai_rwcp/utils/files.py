"""Writing a file so that it appears whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monai_rwcp.utils.locks import hold, is_held

__all__ = ["check_writable", "file_hash", "is_plain_name", "remove_unfinished", "written_whole"]

# What mkstemp makes of it, with the ending of the file that was to be.
_UNFINISHED = re.compile(r"\.unfinished-[a-z0-9_]{8}(\.[^.]+){0,2}")
# How long Windows is asked again for a file that another program has open: long enough for one that reads it.
_PATIENCE = 3.0


def check_writable(path: str | Path) -> None:
    """Refuse a path where no file can be written, before the work that would fill it.

    Args:
        path: where a file is to go.

    Raises:
        OSError: when its folder does not exist or cannot be written, or the path is a folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"Cannot write '{path}': the folder '{path.parent}' does not exist. Make it first.")
    if path.is_dir():
        raise IsADirectoryError(f"Cannot write '{path}': it is a folder. Give the name of a file.")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"Cannot write '{path}': no permission to write in the folder '{path.parent}'.")


def is_plain_name(name: object) -> bool:
    """Whether a name that a file tells of lies in the folder it is looked for in, and is not hidden there.

    Example:
        >>> is_plain_name("anna"), is_plain_name("../anna"), is_plain_name("/anna"), is_plain_name(".anna")
        (True, False, False, False)
    """
    # In Windows a colon leads to another drive, or to a hidden part of another file.
    leading = "/\\\0:" if sys.platform == "win32" else "/\\\0"
    return isinstance(name, str) and name != "" and not name.startswith(".") and not set(name) & set(leading)


def file_hash(path: str | Path) -> str:
    """Hash of the bytes of a file, by which an exchanged one is noticed."""
    with Path(path).open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; what is written there moves to ``path`` when the block succeeds.

    A process that is killed meanwhile may leave its temporary file, ``.unfinished-...``, but never a part at ``path``.

    Args:
        path: where the file is to go; a file there is replaced at the end, and kept when the block fails.

    Yields:
        the temporary path, with the same ending.

    Raises:
        OSError: when it cannot be written; where the disk is full, the message names ``path``.
        PermissionError: in Windows, when another program has the file at ``path`` open and keeps it so.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with written_whole(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text(), len(list(target.parent.iterdir()))
        ('whole', 1)
    """
    path = Path(path)
    check_writable(path)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-", suffix="".join(path.suffixes[-2:]))
    # While it is written it is locked: so it is told from what a killed process left.
    held = hold(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files only their owner can read; results are to be shared like any other file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        if sys.platform == "win32" and held is not None:  # it moves no open file
            os.close(held)
            held = None
        _replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        if held is not None:
            os.close(held)
        # What cannot be taken away now is left to the next run: the block's own error matters more.
        with suppress(PermissionError):
            temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Take away what killed processes left of :py:func:`written_whole`, not what others are writing."""
    for path in folder.iterdir():
        if _UNFINISHED.fullmatch(path.name) and path.is_file() and not path.is_symlink() and not is_held(path):
            # Windows takes away none that is open, such as one that another process writes.
            with suppress(PermissionError):
                path.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path) -> None:
    """Move a file to the place of another; Windows does so only while nobody has that one open."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            os.replace(temporary, path)
            return
        except PermissionError as error:
            if sys.platform != "win32":
                raise
            if time.monotonic() > until:
                raise PermissionError(
                    f"Cannot replace '{path}': another program has it open, or it may only be read. Close it there, "
                    "and run once more."
                ) from error
        time.sleep(0.05)
