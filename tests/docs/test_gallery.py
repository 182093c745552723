"""The gallery: its page shows every example and every picture, and each example still makes its picture."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from PIL import Image

from docs.gallery import make

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/gallery/index.md").read_text(encoding="utf-8")
EXAMPLES = sorted(path.stem for path in make.EXAMPLES.glob("*.py"))
PICTURES = sorted(path.name for path in make.PICTURES.iterdir())


def shown_lines(name: str) -> list[str]:
    """What the page shows of an example."""
    text = (make.EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    return text.split("# shown\n")[1].split("# to here\n")[0].splitlines()


def test_page_shows_each_example_and_each_picture_once() -> None:
    assert sorted(re.findall(r"\{literalinclude\} examples/(\w+)\.py", PAGE)) == EXAMPLES
    assert sorted(re.findall(r"!\[[^]]+\]\(pictures/(\w+\.png)\)", PAGE)) == PICTURES


def test_page_shows_the_functions_that_draw_and_the_losses_and_methods() -> None:
    shown = "\n".join(line for name in EXAMPLES for line in shown_lines(name))
    stub = (ROOT / "monai_rwcp/report/__init__.pyi").read_text(encoding="utf-8")
    drawing = re.findall(r" as ((?:plot|draw)_\w+)", stub)
    assert len(drawing) >= 6
    losses = ["weighted_fnr", "InstanceFalseNegativeRate", "SurfaceFalseNegativeRate", "inner", "false_discovery"]
    for word in (*drawing, *losses, "rcps", "tolerance", "ltt", "by_group", "weights=", "Monitor"):
        assert word in shown, word


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_shown_is_short(name: str) -> None:
    lines = shown_lines(name)
    assert 1 <= len(lines) <= 7
    # Whoever includes the part up to a mark that is not there gets nothing.
    block = re.search(rf"examples/{name}\.py\n((?:.+\n)+)", PAGE)
    assert block is not None
    text = (make.EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert ("# to here" in block[1]) == ("# to here\n" in text)
    assert "# shown" in block[1]
    ast.parse("\n".join(lines))


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_small_and_wide_enough(name: str) -> None:
    path = make.PICTURES / name
    assert path.stat().st_size <= make.MOST_BYTES
    with Image.open(path) as picture:
        assert 500 <= picture.width <= 1400


@pytest.mark.slow
def test_each_example_makes_its_picture(tmp_path: Path) -> None:
    for name in EXAMPLES:
        made = make.run(name, tmp_path)
        assert made.stat().st_size > 500, name
        if made.suffix == ".png":
            with Image.open(made) as now, Image.open(make.PICTURES / made.name) as kept:
                assert abs(now.width - kept.width) <= 2, name
