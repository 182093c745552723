"""How the site is built: `.ci/docs` does it, with warnings as errors and without asking another site."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import inspect

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_ext"))

from monai_rwcp.version import __version__  # noqa: E402

project = "monai_rwcp"
author = "The monai_rwcp developers"
copyright = author  # noqa: A001 - Sphinx's name
version = release = __version__

extensions = [
    "myst_nb",
    "offline_mathematics",
    "public_names",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "_ext"]
language = "en"

# Pages in MyST; notebooks with the outputs that they were kept with.
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_merge_streams = True
html_math_renderer = "mathml"

# The reference, from the docstrings.
default_role = "code"
smartquotes = False
add_module_names = False
autoclass_content = "both"
autodoc_default_options = {"members": True, "member-order": "bysource", "special-members": "__call__"}
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
autosummary_generate = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
# Types that signatures name and whose pages are elsewhere, and those of ours that nobody makes by hand.
_ELSEWHERE = (
    r"(torch|numpy|monai|ignite|collections|pathlib|os|fractions)\..*|Axes|NdarrayOrTensor|monai_rwcp\.utils\..*"
)
nitpick_ignore_regex = [(r"py:(class|data)", _ELSEWHERE)]

html_theme = "furo"
html_title = f"monai_rwcp {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"


def _copy_notebooks(app: Sphinx, config: Any) -> None:
    """The notebooks lie in `tutorials/`, where people run them; the site needs them below its own folder."""
    target = DOCS / "tutorials"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for notebook in sorted((DOCS.parent / "tutorials").glob("*.ipynb")):
        shutil.copyfile(notebook, target / notebook.name)


def _notebook_links(app: Sphinx, page: str, source: list[str]) -> None:
    """Pages link to the notebooks where they lie in the repository."""
    source[0] = re.sub(r"\]\((?:\.\./)+tutorials/(\w+\.ipynb)", r"](/tutorials/\1", source[0])


def _by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Where a docstring names something without its room, or by the top level: the one thing that is called so."""
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    target = node["reftarget"].removeprefix("monai_rwcp.")
    found = {name: entry for name, entry in domain.objects.items() if name.endswith(f".{target}") and not entry.aliased}
    if len(found) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], next(iter(found)), node, content)


def _of_init(
    app: Sphinx, what: str, name: str, value: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """MONAI's transforms have a `__new__` that takes anything: what a user gives stands in `__init__`."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    own = inspect.signature(value.__init__, bound_method=True)
    return inspect.stringify_signature(own, show_return_annotation=False, unqualified_typehints=True), None


def _colons(app: Sphinx, doctree: nodes.document) -> None:
    """Between an argument and what is said of it Sphinx writes two hyphens."""
    for text in [text for text in doctree.findall(nodes.Text) if text == " -- "]:
        text.parent.replace(text, nodes.Text(": "))


def setup(app: Sphinx) -> None:
    """Register what is done beside the extensions."""
    app.connect("autodoc-process-signature", _of_init)
    app.connect("doctree-read", _colons)
    app.connect("config-inited", _copy_notebooks)
    app.connect("source-read", _notebook_links)
    app.connect("missing-reference", _by_last_name)
