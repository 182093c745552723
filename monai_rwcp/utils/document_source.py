"""An object or the path of its file, read when it is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Generic, Protocol, TypeVar

__all__ = ["DocumentSource"]


class _Document(Protocol):
    @classmethod
    def load(cls, path: str | Path) -> _Document:
        """Read a file."""
        ...


Document = TypeVar("Document", bound=_Document)


class DocumentSource(Generic[Document]):
    """Give an object; a file is read at call time, and again when it has changed.

    Args:
        name: name of the argument, for the message.
        kind: class of the object, with a ``load(path)``.
        given: an object of this class or the path of one.

    Raises:
        TypeError: when it is neither.

    Example:
        >>> from monai_rwcp.conformal import Calibration
        >>> DocumentSource("calibration", Calibration, "calibration.json").given
        'calibration.json'
    """

    def __init__(self, name: str, kind: type[Document], given: Document | str | os.PathLike) -> None:
        if not isinstance(given, (kind, str, os.PathLike)):
            raise TypeError(f"{name} must be a {kind.__name__} or a path but is {type(given).__name__}.")
        self.kind, self.given = kind, given
        self._loaded: tuple[tuple[int, int, int], Document] | None = None

    def current(self) -> Document:
        """The object as it is now.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when the file is not a whole one.
        """
        if isinstance(self.given, self.kind):
            return self.given
        assert isinstance(self.given, (str, os.PathLike))
        path = Path(self.given)
        try:
            status = path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
        except FileNotFoundError:
            version = (0, 0, 0)
        if self._loaded is None or self._loaded[0] != version:
            self._loaded = (version, self.kind.load(path))  # type: ignore[assignment]
        assert self._loaded is not None
        return self._loaded[1]
