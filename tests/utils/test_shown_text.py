"""Names that would steer what shows them: tables, pages, cards, pictures and terminals stay whole."""

from __future__ import annotations

import html.parser
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monai_rwcp.conformal import Calibration, ClassCalibration, Promise
from monai_rwcp.conformal.promises.calibration_html import calibration_html
from monai_rwcp.report.html.parts import TableCell, table
from monai_rwcp.report.tables.card import calibration_card
from monai_rwcp.report.tables.evaluation_table import evaluation_table
from monai_rwcp.report.tables.markdown import aligned_table
from monai_rwcp.utils.arguments import check_class_names
from monai_rwcp.utils.shown_text import figure_text, html_text, markdown_text, one_line, terminal_text

EVIL = {
    "cell": "left|right",
    "html": "<script>alert(1)</script>",
    "image": "![x](http://example.org/x.png)",
    "link": "[x](javascript:alert(1))",
    "code": "`x",
    "backslash": "a\\|b",
    "quote": '"><b onmouseover="x',
    "formula": "$\\frac{",
}
HIDDEN = {
    "line": "one\ntwo",
    "return": "one\rtwo",
    "colours": "\x1b[31mred",
    "title of the terminal": "\x1b]0;x\x07",
    "bell": "a\x07",
    "eight bits": "a\x9b31m",
    "turned": "heart\u202egnul",
    "isolated": "a\u2066b",
    "paragraph": "a\u2029b",
    "nothing": "a\u200bb",
    "half a sign": "a\ud800b",
}
PLAIN = ["left ventricle", "Vorhof (links)", "心臓", "قلب", "می\u200cخواهم", "a_b-c.1", "R&D 50 %", "é", "🫀"]  # noqa: RUF001


@pytest.mark.parametrize("text", [*EVIL.values(), *HIDDEN.values()], ids=[*EVIL, *HIDDEN])
def test_each_medium_shows_one_harmless_line(text: str) -> None:
    for shown in (one_line(text), html_text(text), markdown_text(text), figure_text(text)):
        assert shown.isprintable()
    assert "<" not in html_text(text)
    assert '"' not in html_text(text)
    for sign in "|<`[]*":
        assert sign not in markdown_text(text).replace(f"\\{sign}", "")
    assert terminal_text(text).replace("\n", "").isprintable()


@pytest.mark.parametrize("text", PLAIN)
def test_names_of_people_stay_as_they_are(text: str) -> None:
    assert one_line(text) == terminal_text(text) == markdown_text(text) == figure_text(text) == text
    assert html_text(text).replace("&amp;", "&") == text
    check_class_names(["background", text])


@pytest.mark.parametrize("text", HIDDEN.values(), ids=HIDDEN)
def test_a_class_cannot_be_called_so(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"shown on one line, but '.*' of channel 1 holds the hidden character U\+"
    ) as caught:
        check_class_names(["background", text])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "names", [["b", "left  lobe", "left lobe"], ["b", "Mu\u0308ller", "Müller"], ["b", "a\u200d", "a"]]
)
def test_two_classes_cannot_look_alike(names: list[str]) -> None:
    with pytest.raises(ValueError, match="is that of channels 1 and 2"):
        check_class_names(names)


@pytest.mark.parametrize("empty", ["", " ", "\u200d"])
def test_a_class_has_a_name(empty: str) -> None:
    with pytest.raises(ValueError, match="that of channel 1 is empty"):
        check_class_names(["background", empty, "lobe"])


def calibration(name: str, unit: str = "patient") -> Calibration:
    return Calibration(
        promised=Promise(0.1), unit_name=unit, n_channels=2, n_images=30, class_names=("background", name),
        classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)}, packages={name: name}, created=name,
    )  # fmt: skip


def cells(line: str) -> int:
    return line.replace("\\\\", "").replace("\\|", "").count("|")


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen += [tag, *(name for name, _ in attrs)]


@pytest.mark.parametrize("name", [*EVIL.values(), *HIDDEN.values()], ids=[*EVIL, *HIDDEN])
def test_card_tables_and_pages_are_whole(name: str) -> None:
    plain = calibration("heart")
    made = calibration(name, unit=name)
    figures = {f"pred_set_{key}_1": 0.1 for key in ("fnr", "fnr_standard_error", "stretch_median", "dice", "assd", "hd95", "false_alarm_rate", "n_units")}  # fmt: skip
    for write in (
        lambda c: calibration_card(c, figures=figures),
        lambda c: evaluation_table(figures, c),
        lambda c: aligned_table(["class", c.class_name(1)], [[c.class_name(1), c.unit_name]]),
    ):
        found, wanted = write(made).split("\n"), write(plain).split("\n")
        assert len(found) == len(wanted)
        assert [cells(line) for line in found] == [cells(line) for line in wanted]
        assert all(line.isprintable() for line in found)
        unescaped = "\n".join(found).replace("\\<", "").replace("\\[", "")
        assert "<" not in unescaped
        assert "](" not in unescaped.replace("\\](", "")
    pages = [
        (calibration_html(c.promise, c.unit_name, [(c.class_name(1), c.classes[1])]), table(c.class_name(1), [c.unit_name], [[TableCell(c.class_name(1))]]))
        for c in (made, plain)
    ]  # fmt: skip
    for found_page, wanted_page in zip(*pages, strict=True):
        one, other = Tags(), Tags()
        one.feed(found_page)
        other.feed(wanted_page)
        assert [tag for tag in one.seen if tag != "br"] == [tag for tag in other.seen if tag != "br"]


def test_a_calibration_with_such_a_class_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    replace(calibration("heart"), class_names=("background", "a\u202eb")).save(path)
    with pytest.raises(ValueError, match=r"hidden character U\+202E"):
        Calibration.load(path)
    replace(calibration("heart"), class_names=("background", "a|<b>")).save(path)
    assert Calibration.load(path).class_name(1) == "a|<b>"
