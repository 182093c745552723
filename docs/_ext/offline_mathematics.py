"""Formulas as MathML, which browsers draw by themselves: no script, no font, no other site."""

from __future__ import annotations

import re
from typing import Any

import latex2mathml.converter
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

__all__ = ["setup"]

_log = getLogger(__name__)


def _mathml(node: nodes.math | nodes.math_block, display: str) -> str:
    formula = node.astext()
    try:
        made = latex2mathml.converter.convert(formula, display=display)
    except Exception as error:
        # Its errors share no class of their own; as a warning it names the page, and fails the build there.
        _log.warning("formula cannot be read (%s): %s", type(error).__name__, formula, location=node)
        return ""
    # It leaves the braces of \\Big\\{ as they were written.
    made = re.sub(r">\\([{}])<", r">\1<", made)
    if unknown := re.search(r">(\\[A-Za-z]+)<", made):
        _log.warning("unknown command %s in formula: %s", unknown[1], formula, location=node)
    return made


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, "inline"))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{_mathml(node, "block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
