"""NOTICE: what pictures in the repository were made from, and that none shows images whose licence does not fit."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTICE = (ROOT / "NOTICE").read_text(encoding="utf-8")
STUDY = ROOT / "docs/evidence/study"


def test_every_file_it_names_is_there() -> None:
    named = re.findall(r"\b(?:benchmarks|tests|docs|tutorials)/[\w./-]*\w", NOTICE)
    assert len(named) >= 3
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_pictures_of_others_images_are_named_with_their_licence() -> None:
    # Graphs end in what they show; the rest of the study's pictures show images.
    images = [path for path in STUDY.glob("*.png") if not re.search(r"-(methods|settings|slopes)\.png$", path.name)]
    assert images
    for path in images:
        assert path.relative_to(ROOT).as_posix() in NOTICE
    assert "CC BY-SA 4.0" in NOTICE


def test_no_picture_shows_images_that_may_not_be_sold() -> None:
    assert "CC BY-NC-SA 4.0" in NOTICE
    graphs = r"acdc-(slices|volumes)-\d+-(methods|settings|slopes)\.png"
    shown = [path for folder in ("benchmarks", "docs", "tutorials") for path in (ROOT / folder).rglob("acdc*.png")]
    assert shown
    assert [path.name for path in shown if not re.fullmatch(graphs, path.name)] == []


def test_pages_credit_the_images_that_they_show() -> None:
    shown = 0
    for page in (*ROOT.glob("*.md"), *(ROOT / "benchmarks").rglob("*.md"), *(ROOT / "docs").rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        for picture in re.finditer(r"!\[[^\]]*\]\([^)]*hippocampus-(weak|middling)\.png\)", text):
            shown += 1
            assert "CC BY-SA 4.0" in text[picture.end() : picture.end() + 400], (
                f"{page} credits nobody for {picture[0]}"
            )
    assert shown
