"""Two directives of the reference: `public`, names of a room with their docstrings; `top_level`, a table of links."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

__all__ = ["setup"]


class _Public(SphinxDirective):
    """``.. public:: monai_rwcp.walk`` and a name on each line; without names all that the room shows."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        room = import_module(self.arguments[0])
        kinds = {name: _kind(getattr(room, name)) for name in [*map(str.strip, self.content)] or room.__all__}
        lines = [f".. currentmodule:: {room.__name__}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name}" for name, kind in kinds.items() if kind != "data"]
        for name, kind in kinds.items():
            lines += ["", *(_data(room, name) if kind == "data" else [f".. auto{kind}:: {room.__name__}.{name}"])]
        return self.parse_text_to_nodes("\n".join(lines))


class _TopLevel(SphinxDirective):
    """A table of the names of `monai_rwcp` itself, each with a link to where its room describes it."""

    def run(self) -> list[nodes.Node]:
        top = import_module("monai_rwcp")
        where = {name: getattr(getattr(top, name), "__module__", None) for name in top.__all__}
        lines = [".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   ~{'.'.join(file.split('.')[:2])}.{name}" for name, file in where.items() if file is not None]
        return self.parse_text_to_nodes("\n".join(lines))


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return "class"
    return "function" if inspect.isroutine(value) else "data"


def _data(room: ModuleType, name: str) -> list[str]:
    """A constant or a type: its value, where that says something, and the docstring below it."""
    stub = Path(str(room.__file__)).with_suffix(".pyi").read_text(encoding="utf-8")
    defined = re.search(rf"^from \.(\S+) import {name} as", stub, re.MULTILINE)
    assert defined is not None, f"{name} is not in the stub of {room.__name__}"
    said = ModuleAnalyzer.for_module(f"{room.__name__}.{defined[1]}").find_attr_docs().get(("", name), [])
    value = getattr(room, name)
    lines = [f".. py:data:: {name}"]
    if hasattr(value, "__args__"):
        shown = stringify_annotation(value, "fully-qualified-except-typing")
        lines += [f"   :value: {re.sub(r'monai_rwcp[.a-z_]*[.]', '', shown)}"]
    elif isinstance(value, tuple):
        lines += [f"   :value: {value}"]
    return [*lines, "", *(f"   {line}" for line in said)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add both."""
    app.add_directive("public", _Public)
    app.add_directive("top_level", _TopLevel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
