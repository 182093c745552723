"""README's links on a package index: absolute, to what is there, and code as it was."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "absolute_links.py"
HOST = "https://example.org/us/it"

absolute_links = runpy.run_path(str(SCRIPT))["absolute_links"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("LICENSE", "docs/start.md", "docs/a b.md", "tutorials/overview.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](LICENSE)", f"[a]({HOST}/blob/v1/LICENSE)"),
        ("[a](./docs/start.md#top)", f"[a]({HOST}/blob/v1/docs/start.md#top)"),
        ("[a](docs/)", f"[a]({HOST}/tree/v1/docs/)"),
        ("[a](docs/a%20b.md)", f"[a]({HOST}/blob/v1/docs/a%20b.md)"),
        ("[a](<docs/start.md>)", f"[a](<{HOST}/blob/v1/docs/start.md>)"),
        ('[a](LICENSE "the licence")', f'[a]({HOST}/blob/v1/LICENSE "the licence")'),
        ("![a](tutorials/overview.png)", f"![a]({HOST}/raw/v1/tutorials/overview.png)"),
        (
            "[![a](tutorials/overview.png)](docs/start.md)",
            f"[![a]({HOST}/raw/v1/tutorials/overview.png)]({HOST}/blob/v1/docs/start.md)",
        ),
        ('<img src="tutorials/overview.png" width=9>', f'<img src="{HOST}/raw/v1/tutorials/overview.png" width=9>'),
        ("<a href='LICENSE'>a</a>", f"<a href='{HOST}/blob/v1/LICENSE'>a</a>"),
        ("[a]: docs/start.md", f"[a]: {HOST}/blob/v1/docs/start.md"),
        ("[`a`](LICENSE)", f"[`a`]({HOST}/blob/v1/LICENSE)"),
    ],
)
def test_links_to_the_repository_lead_to_its_host(text: str, expected: str, root: Path) -> None:
    assert absolute_links(text, HOST, "v1", root) == expected
    assert absolute_links(text, HOST + "/", "v1", root) == expected


@pytest.mark.parametrize(
    "text",
    [
        "[a](#below)",
        "[a](https://example.com/LICENSE)",
        "[a](mailto:somebody@example.com)",
        "`[a](LICENSE)` and ``[a](`LICENSE)``",
        "```python\nx[0](LICENSE)\n[a]: LICENSE\n```",
        "~~~\n[a](LICENSE)\n```\n[a](LICENSE)\n~~~",
        "```\n[a](LICENSE)",
        "f(LICENSE)",
    ],
)
def test_what_is_no_link_to_the_repository_stays(text: str, root: Path) -> None:
    assert absolute_links(text, HOST, "v1", root) == text


def test_prose_between_code_is_still_prose(root: Path) -> None:
    text = "```\n[a](LICENSE)\n```\n[a](LICENSE) `[a](LICENSE)` [b](LICENSE)\n```\n[a](LICENSE)\n```\n"
    made = absolute_links(text, HOST, "v1", root)
    assert made.count(HOST) == 2
    assert made.replace(f"{HOST}/blob/v1/", "") == text


@pytest.mark.parametrize("target", ["docs/none.md", "../outside.md", "tutorials/none.png"])
def test_a_link_to_nothing_is_an_error_that_names_it(target: str, root: Path) -> None:
    (root.parent / "outside.md").touch()
    with pytest.raises(FileNotFoundError, match=re.escape(target)):
        absolute_links(f"[a](LICENSE) ![b]({target})", HOST, "v1", root)


def test_the_readme_has_no_relative_link_left() -> None:
    command = [sys.executable, SCRIPT, ROOT / "README.md", HOST, "v1"]
    made = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    assert f"]({HOST}/blob/v1/" in made
    assert f"({HOST}/raw/v1/" in made
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", made, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)|(?:src|href)=[\"']([^\"']+)", prose)
    assert targets
    assert all(re.match(r"https://|#", first or second) for first, second in targets)
    # The rest is as it was.
    assert re.sub(rf"{HOST}/\w+/v1/", "", made) == (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_script_says_how_it_is_called() -> None:
    called = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=60)
    assert called.returncode != 0
    assert "Usage" in called.stderr
