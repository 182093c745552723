"""Two directives of the reference: `public`, names of a room with their docstrings; `top_level`, a table of links."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["setup"]


class _Public(SphinxDirective):
    """``.. public:: monai_rwcp.walk`` and a name on each line; without names all that the room shows."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        room = import_module(self.arguments[0])
        names = [line.strip() for line in self.content if line.strip()] or room.__all__
        lines = [f".. currentmodule:: {room.__name__}", "", ".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   {name}" for name in names]
        for name in names:
            lines += ["", f".. auto{_kind(getattr(room, name))}:: {room.__name__}.{name}"]
        return self.parse_text_to_nodes("\n".join(lines))


class _TopLevel(SphinxDirective):
    """A table of the names of `monai_rwcp` itself, each with a link to where its room describes it."""

    def run(self) -> list[nodes.Node]:
        top = import_module("monai_rwcp")
        where = {}
        for name in top.__all__:
            defined = getattr(getattr(top, name), "__module__", None)
            if defined is not None:
                where[name] = ".".join(defined.split(".")[:2])
        lines = [".. autosummary::", "   :nosignatures:", ""]
        lines += [f"   ~{room}.{name}" for name, room in where.items()]
        return self.parse_text_to_nodes("\n".join(lines))


def _kind(value: Any) -> str:
    if inspect.isclass(value):
        return "class"
    return "function" if inspect.isroutine(value) else "data"


def setup(app: Sphinx) -> dict[str, Any]:
    """Add both."""
    app.add_directive("public", _Public)
    app.add_directive("top_level", _TopLevel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
