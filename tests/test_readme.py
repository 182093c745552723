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


def test_it_is_a_page() -> None:
    assert len((ROOT / "README.md").read_bytes()) < 7000


def test_its_figures_are_those_of_the_evidence() -> None:
    rows = [line.split("|")[1:-1] for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    shown = {name.strip(): figures for name, *figures in rows if re.search(r"\d (patients|subjects)", name)}
    assert 4 <= len(shown) <= 6
    evidence: dict[str, dict[str, list[str]]] = {}
    of_row = ""
    for line in (ROOT / "docs/evidence/index.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 7:
            of_row = cells[0].replace(" trained on", "").replace(" in 3D", "") or of_row
            evidence.setdefault(of_row, {})[cells[1]] = cells[2:]
    for name, (plain, filtered, chosen) in shown.items():
        of = evidence[name]
        filters = [of[method] for method in ("blur", "bilateral filter", "filter, peaks kept")]
        best = min(filters, key=lambda figures: (float(figures[0]), float(figures[3].split()[0])))
        for cell, figures in ((plain, of["plain CRC"]), (filtered, best), (chosen, of["what `tune` chooses"])):
            stretch, distance = cell.replace("*", "").strip().split(", ")
            value, _, unit = figures[3].partition(" (")
            assert (stretch, distance) == (figures[0], f"{value} {unit.split(') ')[1]}"), name
