"""The folders of the benchmarks keep to their order, and every command that a page names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"
# From the bottom up: a folder imports from itself and from those before it; the last three know nothing of each other.
_SHARED = {"common", "data"}
BELOW = {"common": set(), "data": {"common"}, "speed": _SHARED, "checks": _SHARED, "study": _SHARED}


def imported(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("benchmarks"):
            yield str(node.module)


def wrong_imports(folder: str, text: str) -> list[str]:
    return [name for name in imported(text) if name.split(".")[1:2] not in [[one] for one in BELOW[folder] | {folder}]]


def test_files_lie_in_folders_that_import_one_way() -> None:
    files = [path.relative_to(FOLDER) for path in FOLDER.rglob("*.py")]
    assert {path.parts[0] for path in files} == {*BELOW, "__init__.py"}
    assert {str(path): wrong for path in files if (wrong := _wrong(path))} == {}
    assert wrong_imports("data", "from benchmarks.study.cases import StudyCase") == ["benchmarks.study.cases"]
    assert wrong_imports("data", "from benchmarks import study") == ["benchmarks"]


def _wrong(path: Path) -> list[str]:
    text = (FOLDER / path).read_text()
    if path.name == "__init__.py":
        return [] if [type(node) for node in ast.parse(text).body] == [ast.Expr] else ["more than a docstring"]
    return wrong_imports(path.parts[0], text)


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(FOLDER.rglob("*.[mp][dy]"))]
NAMING = [str(path.relative_to(ROOT)) for path in PAGES if "python -m benchmarks." in path.read_text()]


@pytest.mark.parametrize("page", NAMING)
def test_named_commands_are_there(page: str) -> None:
    for name in re.findall(r"python -m benchmarks\.(\w[\w.]*\w)", (ROOT / page).read_text()):
        place = FOLDER.joinpath(*name.split("."))
        command = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
        assert command.exists(), name
        assert '\nif __name__ == "__main__":\n    main()\n' in command.read_text(), name
