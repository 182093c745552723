"""JSON documents that are written whole or not at all, and refused when they are not what was written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from monai_rwcp.utils.files import written_whole

__all__ = ["check_document", "digest", "read_json", "write_json"]


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


def check_document(document: Any, path: str | Path, *, what: str, kind: str, version: int) -> None:
    """Refuse a document that is not what it should be, of another version, or edited after it was written.

    Args:
        document: what a JSON file held.
        path: the file, for messages.
        what: what it should be, such as "calibration".
        kind: its ``format``.
        version: its ``version``.

    Raises:
        ValueError: when it is not.
    """
    if not isinstance(document, dict) or document.get("format") != kind:
        raise ValueError(f"Expected a {what} written by monai_rwcp in '{path}', but it is something else.")
    if document.get("version") != version:
        raise ValueError(
            f"'{path}' is a {what} of version {document.get('version')!r}, but this monai_rwcp reads version {version}."
            " Use the release that wrote it, or make it anew."
        )
    if document.get("digest") != digest(document):
        raise ValueError(
            f"'{path}' was changed after it was written: its digest does not fit. A changed {what} keeps no promise. "
            "Restore the file or make it anew."
        )


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
