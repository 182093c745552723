"""What `.ci/docs` looks for in a built site."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "check_site.py"
_spec = spec_from_file_location("check_site", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
check_site = module_from_spec(_spec)
_spec.loader.exec_module(check_site)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "how_to").mkdir()
    (tmp_path / "style.css").write_text("a { background: url(data:image/png;base64,AA) }")
    (tmp_path / "index.html").write_text('<link href="style.css?v=1"><a href="how_to/a%20b.html#part">there</a>')
    (tmp_path / "how_to" / "a b.html").write_text('<h1 id="part"></h1><a href="../index.html">back</a><a href="#part">')
    (tmp_path / "search.html").write_text('<a href="https://example.org">people may follow it</a>')
    (tmp_path / "searchindex.js").write_text('Search.setIndex({"terms":{"exchang":[0]}})')
    return tmp_path


def test_a_sound_site_has_no_problems(site: Path) -> None:
    assert check_site.problems(site) == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("index.html", '<a href="gone.html">', "index.html links to gone.html, which is not there"),
        ("index.html", '<a href="how_to/a b.html#gone">', "index.html links to how_to/a b.html#gone: no such part"),
        ("index.html", '<a href="#gone">', "index.html links to #gone: no such part"),
        ("index.html", '<script src="https://cdn.org/x.js">', "index.html loads https://cdn.org/x.js"),
        ("index.html", '<link href="//fonts.org/x.css">', "index.html loads //fonts.org/x.css"),
        ("index.html", '<img src="gone.png">', "index.html loads gone.png, which is not there"),
        ("style.css", "@import url('https://fonts.org/x')", "style.css loads https://fonts.org/x"),
        ("style.css", '@import "https://fonts.org/x.css";', "style.css loads https://fonts.org/x.css"),
        ("searchindex.js", 'Search.setIndex({"terms":{}})', "the search does not find 'exchangeable'"),
    ],
)
def test_what_is_wrong_is_said(site: Path, file: str, text: str, said: str) -> None:
    (site / file).write_text(text)
    assert check_site.problems(site) == [said]


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    assert check_site.problems(tmp_path) == [f"no pages in {tmp_path}", "no searchindex.js"]
