"""Every public name is on a page of the reference."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
ROOMS = [path.parent.name for path in (REFERENCE.parents[1] / "monai_rwcp").glob("*/__init__.pyi")]


def listed(page: str) -> set[str]:
    """The names below `public` directives; all of the room where a directive has none."""
    found: set[str] = set()
    for room, names in re.findall(r"^\.\. public:: (\S+)\n((?:\n|   .*\n)*)", page + "\n", re.MULTILINE):
        found |= set(names.split()) or set(import_module(room).__all__)
    return found


def missing(room: str, page: str) -> list[str]:
    """Names of a room that a page does not describe, neither by this name nor by another of the same thing."""
    shown = import_module(room)
    described = [getattr(shown, name) for name in listed(page)]
    return [name for name in shown.__all__ if not any(getattr(shown, name) is one for one in described)]


@pytest.mark.parametrize("room", ROOMS)
def test_a_page_describes_every_name_of_its_room(room: str) -> None:
    page = (REFERENCE / f"{room}.rst").read_text()
    assert missing(f"monai_rwcp.{room}", page) == []
    assert f"\n{room}\n" in (REFERENCE / "index.md").read_text()


def test_a_name_that_is_left_out_is_noticed() -> None:
    page = (REFERENCE / "walk.rst").read_text()
    assert missing("monai_rwcp.walk", page.replace("   knn_graph\n", "")) == ["knn_graph"]


def test_names_of_the_top_level_are_names_of_rooms() -> None:
    top = import_module("monai_rwcp")
    of_rooms = [getattr(import_module(f"monai_rwcp.{room}"), name) for room in ROOMS for name in _names(room)]
    alone = [name for name in top.__all__ if not any(getattr(top, name) is one for one in of_rooms)]
    assert alone == ["__version__"]
    assert ".. top_level::" in (REFERENCE / "index.md").read_text()


def _names(room: str) -> list[str]:
    return import_module(f"monai_rwcp.{room}").__all__
