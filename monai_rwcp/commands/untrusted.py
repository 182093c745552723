"""Whether a configuration of a source of features could run code, or load files, of whoever wrote it."""

from __future__ import annotations

from typing import Any

__all__ = ["check_runs_no_code"]

_SOURCES = ("MINDFeatures", "FoundationFeatures", "ExportedFeatures", "CachedFeatures")
_TARGETS = {f"{room}{name}" for name in _SOURCES for room in ("", "monai_rwcp.", "monai_rwcp.features.")}


def check_runs_no_code(part: Any, path: str, place: str = "") -> None:
    """Refuse what in MONAI's configuration syntax runs code or reads other configurations.

    Anything may be called as a ``_target_``, so only sources of features of this package pass that take no network:
    a network cannot be had without code that loads its weights.

    Args:
        part: the configuration, or a part of it.
        path: the file, for messages.
        place: where in the file the part lies.

    Raises:
        ValueError: when it could; the message names the place.

    Example:
        >>> check_runs_no_code({"extractor": {"_target_": "MINDFeatures", "radius": 2}}, "mind.json")
        >>> check_runs_no_code({"extractor": {"_target_": "os.system", "command": "ls"}}, "list.json")
        Traceback (most recent call last):
        ValueError: 'list.json' could run code of whoever wrote it: 'extractor' calls 'os.system'. ...
    """
    what = None
    if isinstance(part, dict):
        target = part.get("_target_")
        if "_target_" in part and (not isinstance(target, str) or target not in _TARGETS):
            what = f"'{place}' calls {target!r}"
        elif part.get("_mode_", "default") != "default":
            what = f"'{place}' asks for the mode {part['_mode_']!r}"
        elif "trust" in part:
            what = f"'{place}' asks to be trusted"
    elif isinstance(part, str) and part.lstrip().startswith(("$", "%")):
        kind = "an expression" if part.lstrip().startswith("$") else "another file's entry"
        what = f"'{place}' is {part[:80]!r}, {kind}"
    if what is not None:
        raise ValueError(
            f"'{path}' could run code of whoever wrote it: {what}. Without trust such a file may only name "
            f"{', '.join(_SOURCES[:-1])} or {_SOURCES[-1]}. Give --trust if you trust its author."
        )
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, value in inner:
        check_runs_no_code(value, path, f"{place}::{name}" if place else str(name))
