"""The card of a calibration, and a calibration in a notebook."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from monai_rwcp.cli import main
from monai_rwcp.conformal import Calibration, ClassCalibration, CountingOptions, Promise
from monai_rwcp.provenance import RecordedStep, ScoreRecord
from monai_rwcp.report.figures_file import read_figures, write_figures
from monai_rwcp.report.tables.card import calibration_card

CALIBRATION = Calibration(
    promised=Promise(0.1),
    unit_name="patient", n_channels=3, n_images=60, class_names=("background", "organ", "a<b"),
    classes={1: ClassCalibration(0.25, 30, 0.05, 0.07), 2: ClassCalibration(0.125, 28, 0.06, 0.0679)},
    provenance=ScoreRecord(network="sha256:12", steps=(RecordedStep("walk", {"k": 20}),)),
)  # fmt: skip


def figures(**rates: float) -> dict[str, float]:
    names = ("fnr_standard_error", "stretch_median", "dice", "assd", "hd95", "false_alarm_rate")
    found = {f"pred_set_{name}_{c}": 0.01 for name in names for c in (1, 2)}
    found |= {f"pred_set_n_units_{c}": 30.0 for c in (1, 2)}
    return found | {"pred_set_fnr_1": rates["one"], "pred_set_fnr_2": rates["two"]}


def test_a_card_says_what_was_promised_on_whom_and_how() -> None:
    card = calibration_card(CALIBRATION, population="Adults of two hospitals.", known_failures="Fails at the apex.")
    assert "> On average at most 10 % of" in card
    assert "Adults of two hospitals." in card
    assert "Fails at the apex." in card
    assert "| organ | 30 | 0.2500 | 0.0500 | 0.0700 |" in card
    assert '"k": 20' in card
    assert "Not evaluated" in card
    assert "Look at this first" not in card
    assert "Not stated" in calibration_card(CALIBRATION)


def test_what_has_to_be_looked_at_stands_first() -> None:
    card = calibration_card(CALIBRATION, figures=figures(one=0.115, two=0.125))
    head, _, rest = card.partition("## Promise")
    assert "Of a\\<b 12.5% was missed" in head
    assert "organ" not in head.split("## Look at this first")[1]
    assert "| organ | 0.1 | 0.115 | 0.01 |" in rest
    whole = replace(
        CALIBRATION, classes={1: ClassCalibration(0.0, 5, 0.0, None)}, counting=CountingOptions(masked=True)
    )
    head = calibration_card(whole).partition("## Promise")[0]
    assert "The sets of organ are the whole image: 5 patients" in head
    assert "outside the mask" in head


def test_another_promise_is_not_compared() -> None:
    other = replace(CALIBRATION, promised=Promise(0.1, "tolerance", tau=0.95))
    card = calibration_card(other, figures=figures(one=0.4, two=0.5))
    assert "Look at this first" not in card
    assert "| organ | - | 0.4 | 0.01 |" in card
    assert "What is promised is not this rate, but: " in card
    named = replace(CALIBRATION, class_names=("background", "left|right", "b"))
    assert "| left\\|right | 0.1 |" in calibration_card(named, figures=figures(one=0.05, two=0.05))


@pytest.mark.parametrize(
    "bad", [{}, {"pred_set_fnr_1": 0.1}, {"pred_set_fnr_1": 0.1, "pred_set_fnr_standard_error_1": 0}]
)
def test_figures_of_another_calibration(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="of another calibration"):
        calibration_card(CALIBRATION, figures=bad)


def test_the_command(tmp_path: Path) -> None:
    CALIBRATION.save(tmp_path / "c.json")
    write_figures(figures(one=0.09, two=0.08), CALIBRATION, tmp_path / "f.json")
    common = ["card", str(tmp_path / "c.json"), "--out", str(tmp_path / "card.md"), "--figures"]
    ran = CliRunner().invoke(main, [*common, str(tmp_path / "f.json")])
    assert ran.exit_code == 0, ran.output
    wanted = calibration_card(Calibration.load(tmp_path / "c.json"), figures=figures(one=0.09, two=0.08))
    assert (tmp_path / "card.md").read_text() == wanted
    ran = CliRunner().invoke(main, [*common, str(tmp_path / "f.json")])
    assert ran.exit_code == 1
    assert "exists" in ran.output
    (tmp_path / "card.md").unlink()
    (tmp_path / "f.json").write_text("[1, 2")
    ran = CliRunner().invoke(main, [*common, str(tmp_path / "f.json")])
    assert ran.exit_code == 1
    assert "not JSON" in ran.output
    assert not (tmp_path / "card.md").exists()


def test_a_calibration_in_a_notebook() -> None:
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            assert not attrs
            seen.append(tag)

        def handle_data(self, data: str) -> None:
            seen.append(data)

    Reader().feed(CALIBRATION._repr_html_())
    assert set(seen) >= {"table", "tr", "td", "organ", "a<b", "0.2500", "30", "0.0679"}
    assert any("On average at most 10 %" in part for part in seen)


def test_figures_come_back_and_are_strict_json(tmp_path: Path) -> None:
    given = figures(one=0.09, two=0.08) | {"pred_set_assd_2": math.nan}
    write_figures(given, CALIBRATION, tmp_path / "f.json")

    def never(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    document = json.loads((tmp_path / "f.json").read_text(), parse_constant=never)
    assert document["pred_set_assd_2"] is None
    found = read_figures(tmp_path / "f.json", CALIBRATION)
    assert found.keys() == given.keys()
    assert all(found[name] == value or math.isnan(found[name]) == math.isnan(value) for name, value in given.items())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"calibration": "sha256:0"}, "of another calibration"),
        ({"calibration": None}, "no file of figures that knows its calibration"),
        ({"pred_set_fnr_1": -0.5}, r"'pred_set_fnr_1' in .* a share in \[0, 1\], but got -0.5"),
        ({"pred_set_dice_2": 1.5}, "a share in"),
        ({"pred_set_coverage_1": -0.1}, "a share in"),
        ({"pred_set_coverage_gap_1": 1.01}, "a share in"),
        ({"pred_set_stretch_median_1": -3}, "'pred_set_stretch_median_1' in .* to be at least 0, but got -3"),
        ({"pred_set_hd95_2": -0.01}, "at least 0"),
        ({"pred_set_n_units_2": -1}, "at least 0"),
        ({"pred_set_n_units_2": 11.5}, "a whole number"),
        ({"pred_set_fnr_1": "0.1"}, "is '0.1', which is no finite number"),
        ({"pred_set_fnr_1": True}, "is True, which is no finite number"),
    ],
)
def test_figures_that_are_none_are_refused(changed: dict[str, object], message: str, tmp_path: Path) -> None:
    write_figures(figures(one=0.09, two=0.08), CALIBRATION, tmp_path / "f.json")
    document = json.loads((tmp_path / "f.json").read_text())
    (tmp_path / "f.json").write_text(json.dumps(document | changed))
    with pytest.raises(ValueError, match=message):
        read_figures(tmp_path / "f.json", CALIBRATION)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (ScoreRecord(), "Nothing guards this promise"),
        (ScoreRecord(maps={"form": "nnunet"}), "Nothing guards this promise"),
        (ScoreRecord(maps={"form": "nnunet", "plans.json": "sha256:1"}), "Only nnU-Net's plans.json guards this"),
        (ScoreRecord(network="named a network"), "Only a name that a person gave ('a network') guards this"),
    ],
)
def test_card_and_promise_say_what_does_not_guard_them(record: ScoreRecord, words: str) -> None:
    calibration = replace(CALIBRATION, provenance=record)
    assert words in calibration.promise.splitlines()[-1]
    assert words in calibration_card(calibration).split("## Promise")[0]


def test_a_calibration_by_cases_speaks_of_no_patients() -> None:
    card = calibration_card(replace(CALIBRATION, unit_name="case"), figures=figures(one=0.2, two=0.08))
    assert "## Observed on other cases" in card
    assert "Every case counts once." in card
    assert "missed on other cases" in card
    assert "other patients" not in card
    assert "## Observed on other patients" in calibration_card(CALIBRATION)
