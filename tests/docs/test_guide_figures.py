"""Numbers in the guides' tables are those of the code."""

from __future__ import annotations

import re

from monai_rwcp import minimum_n, paper, recommended
from monai_rwcp.tune import default_candidates, working_level
from tests.helpers.pages import ROOT

ALPHAS = (0.2, 0.1, 0.05, 0.01)


def rows(page: str) -> list[list[str]]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]


def row(page: str, first: str) -> list[str]:
    (found,) = (cells for cells in rows(page) if cells[0].startswith(first))
    return found[1:]


def test_patients_needed() -> None:
    page = "how_to/few_patients.md"
    ways = {
        '`"crc"` and `"tolerance"`': [minimum_n(alpha) for alpha in ALPHAS],
        '`"rcps"`, certainty 90 %': [minimum_n(alpha, "rcps", delta=0.1) for alpha in ALPHAS],
        '`"rcps"`, certainty 95 %': [minimum_n(alpha, "rcps", delta=0.05) for alpha in ALPHAS],
        "the same with": [minimum_n(alpha, "rcps", delta=0.05, bound="betting") for alpha in ALPHAS],
    }
    for first, expected in ways.items():
        assert row(page, first) == [str(n) for n in expected]
    for at, first in enumerate(("the average loss", "the same for 95 %", "at least 1 - alpha", "like")):
        method = ("crc", "rcps", "tolerance", "ltt")[at]
        options = {"delta": 0.05} if method in ("rcps", "ltt") else {}
        needed = [str(minimum_n(alpha, method, **options)) for alpha in (0.1, 0.05)]  # type: ignore[arg-type]
        assert row("understanding/promise.md", first)[1:] == needed


def test_what_few_patients_are_allowed() -> None:
    page = "how_to/few_patients.md"
    (counts,) = (cells[1:] for cells in rows(page) if cells[0] == "patients")
    assert row(page, "allowed at alpha = 0.1") == [f"{100 * working_level(0.1, int(n)):.2f}" for n in counts]


def test_settings_of_walks() -> None:
    for name in ("k", "beta", "n_steps", "restart", "center", "spatial_weight", "grid"):
        shown = row("understanding/method.md", f"`{name}`")
        for text, settings in zip(shown, (paper(), recommended()), strict=True):
            expected = settings[name]
            assert text == (
                "that of the features"
                if expected == "features"
                else f"{expected:g}"
                if type(expected) in (int, float)
                else str(expected)
            )


def test_candidates_of_tuning() -> None:
    text = (ROOT / "docs" / "how_to" / "tune.md").read_text(encoding="utf-8")
    simple, coarse, fine = (len(default_candidates(**of)) for of in ({"sources": ()}, {}, {"fine_grid": 2}))  # type: ignore[arg-type]
    assert f"{simple - 1} blurs and {coarse - simple} walks" in text
    assert f"tries {fine - coarse} more walks" in text
