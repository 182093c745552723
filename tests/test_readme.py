"""The README keeps to what is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_ci_runs_the_readmes_own_test_command() -> None:
    readme = (ROOT / "README.md").read_text()
    marked = [line for line in readme.splitlines() if line.endswith("# runs the tests")]
    assert len(marked) == 1
    assert marked[0].count("python -m pytest") == 1
    assert "# runs the tests" in (ROOT / ".ci" / "run").read_text()


def test_links_lead_somewhere() -> None:
    for page in (
        ROOT / "README.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "tutorials" / "bundle" / "docs" / "README.md",
    ):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
