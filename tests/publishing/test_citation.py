"""CITATION.cff: this software, and the papers of its methods, named as such (.ci/package asks the format's schema)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_rwcp.version import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def citation() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_it_cites_this_software(citation: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["title"].replace("_", "-") == project["name"]
    assert citation["version"] == __version__
    assert citation["license"] == project["license"]
    assert citation["authors"] == project["authors"]
    assert "cite" in citation["message"]
    # Whoever cites "this repository" cites the software, not somebody's paper in its place.
    assert "preferred-citation" not in citation


@pytest.mark.parametrize(("arxiv", "of"), [("2601.18997", "random walk"), ("2208.02814", "promise")])
def test_it_names_the_papers_of_the_methods(arxiv: str, of: str, citation: dict[str, Any]) -> None:
    [paper] = [
        entry for entry in citation["references"] if f"arXiv:{arxiv}" in [i["value"] for i in entry["identifiers"]]
    ]
    assert paper["title"]
    assert all(author["family-names"] and author["given-names"] for author in paper["authors"])
    assert of in paper["notes"]
    # The same papers as the README names.
    assert arxiv in (ROOT / "README.md").read_text(encoding="utf-8")
