"""JSON documents that are written whole or not at all, and refused when they are not what was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.json_types import check_types

__all__ = ["DocumentKind", "dataclass_from_document", "digest", "read_json", "write_json"]

T = TypeVar("T")


@dataclass(frozen=True)
class DocumentKind:
    """One kind of JSON document: what it is called, which version this release writes, and how one is made.

    Args:
        what: what it is, such as "calibration".
        format: its ``format``.
        version: its ``version``.
        first_step: how one is made, for the message where there is none; ``{path}`` in it is the file.
        anew: what makes one anew, such as "ConformalCalibrationHandler".
        content: the types of what is in it, see :py:func:`monai_rwcp.utils.json_types.check_types`.
        earlier: versions that this release does not read any more, and the release that wrote each.

    Example:
        >>> kind = DocumentKind("note", "monai_rwcp.note", 2, "Write one first", anew="a pen", earlier={1: "0.1"})
        >>> kind.check(kind.signed({"text": "hello"}), "note.json")
    """

    what: str
    format: str
    version: int
    first_step: str
    anew: str
    content: Any = dict[str, Any]
    earlier: Mapping[int, str] = field(default_factory=dict)

    def signed(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """A document of this kind, with the digest that shows later changes."""
        document = {"format": self.format, "version": self.version, **content}
        return {**document, "digest": digest(document)}

    def read(self, path: str | Path) -> dict[str, Any]:
        """Read a document of this kind and make sure that it is as it was written.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it is damaged, or as :py:meth:`check`.
        """
        document = read_json(path, self.what, self.first_step.format(path=path))
        self.check(document, path)
        return dict(document)

    def check(self, document: Any, path: str | Path) -> None:
        """Refuse a document that is not of this kind, of another version, or edited after it was written.

        Args:
            document: what a JSON file held.
            path: the file, for messages.

        Raises:
            ValueError: when it is not.
        """
        if not isinstance(document, dict) or document.get("format") != self.format:
            raise ValueError(f"Expected a {self.what} written by monai_rwcp in '{path}', but it is something else.")
        version = document.get("version")
        if isinstance(version, int) and version in self.earlier:
            raise ValueError(
                f"'{path}' is a {self.what} that monai_rwcp {self.earlier[version]} wrote (version {version}), which "
                f"this release does not read: make it anew with {self.anew}."
            )
        if version != self.version:
            raise ValueError(
                f"'{path}' is a {self.what} of version {version!r}, but this monai_rwcp reads version {self.version}."
                " Use the release that wrote it, or make it anew."
            )
        if document.get("digest") != digest(document):
            raise ValueError(
                f"'{path}' was changed after it was written: its digest does not fit. A changed {self.what} keeps no "
                "promise. Restore the file or make it anew."
            )
        try:
            check_types(document, self.content, "content")
        except ValueError as error:
            raise ValueError(
                f"The {self.what} '{path}' lacks a field or has one of the wrong kind: {error}."
            ) from error

    @contextmanager
    def contents_of(self, path: str | Path) -> Iterator[None]:
        """Name the file and what is wrong with it where its contents cannot be taken.

        Raises:
            ValueError: when a field is missing, or of a wrong kind or value.
        """
        try:
            yield
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"The {self.what} '{path}' lacks a field or has one of the wrong kind: {error}."
            ) from error
        except ValueError as error:
            raise ValueError(f"The {self.what} '{path}' contradicts itself: {error}") from error


def dataclass_from_document(kind: type[T], document: Mapping[str, Any]) -> T:
    """Make a dataclass of the part of a document that holds all of its fields.

    Raises:
        KeyError: when a field is missing, also one that has a default.
    """
    return kind(**{field.name: document[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def read_json(path: str | Path, what: str, how: str) -> Any:
    """Read a JSON file, with an error that names it when it is absent or damaged.

    Args:
        path: the file.
        what: what it should be, such as "calibration".
        how: how one is made, for the message.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no {what} at '{path}'. {how}, or correct the path.")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"'{path}' is damaged: it is not JSON ({error}). Restore it or make it anew.") from error


def write_json(document: Any, path: str | Path) -> None:
    """Write a JSON file that appears whole or not at all."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def digest(document: dict[str, Any]) -> str:
    """Hash of a document without its own ``digest``."""
    content = {name: value for name, value in document.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
