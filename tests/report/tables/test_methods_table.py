"""The table of methods: its figures by hand, as text and as a file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from monai_rwcp.conformal import Calibration, ClassCalibration, Promise
from monai_rwcp.metrics import SetMetrics
from monai_rwcp.report import MeasuredSet, Row, render_table, summarise, write_table

CALIBRATION = Calibration(
    promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=("background", "heart"),
    classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)},
)  # fmt: skip

ROW = Row(
    method="plain CRC", class_name="core", n_calibration=32, n_test=30, working_level=0.07, promised=0.1,
    observed=0.0912, observed_error=0.0123, stretch=1.5, dice=0.75, average_surface_distance=2.345,
    hausdorff_distance_95=9.87, components=3.25, false_alarms=3, without_class=12,
)  # fmt: skip


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_columns_line_up_and_figures_are_rounded() -> None:
    other = replace(ROW, method="random walk + CRC", false_alarms=0, without_class=0)
    lines = render_table([ROW, other], "mm").splitlines()
    assert len({len(line) for line in lines}) == 1
    for line in lines[1:]:
        assert [i for i, c in enumerate(line) if c == "|"] == [i for i, c in enumerate(lines[0]) if c == "|"]
    assert dict(zip(cells(lines[0]), cells(lines[2]), strict=True)) == {
        "method": "plain CRC", "class": "core", "n cal.": "32", "n test": "30", "promised FNR": "0.100",
        "working level": "0.070", "observed FNR (s.e.)": "0.091 (0.012)", "stretch": "1.50", "Dice": "0.750",
        "ASSD (mm)": "2.35", "HD95 (mm)": "9.9", "components": "3.2", "false alarms": "3/12",
    }  # fmt: skip
    assert cells(lines[3])[-1] == "-"


def test_what_is_not_defined_reads_so() -> None:
    nan = math.nan
    row = replace(ROW, observed=nan, observed_error=nan, stretch=nan, dice=nan, working_level=nan)
    text = render_table([row], "px")
    assert "nan" not in text
    assert cells(text.splitlines()[2])[5:9] == ["n/a", "n/a (n/a)", "n/a", "n/a"]


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("old")
    write_table([ROW], path, "mm")
    assert path.read_text() == render_table([ROW], "mm")
    with pytest.raises(AttributeError):
        write_table([None], path, "mm")  # type: ignore[list-item]
    assert path.read_text() == render_table([ROW], "mm")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_table([ROW], tmp_path / "missing" / "table.md", "mm")


def measured(unit: str, missed: int, true: int, size: int, method: str = "plain") -> MeasuredSet:
    nan = float("nan")
    return MeasuredSet(method, unit, 1, SetMetrics(missed, true, size, 0.5 if true else nan, 2, 3.0, nan))


def test_rates_are_pooled_by_patient_and_averaged_over_patients() -> None:
    sets = [
        measured("anna", 1, 10, 20),
        measured("anna", 9, 90, 90),
        measured("bert", 3, 10, 10),
        measured("bert", 0, 0, 5),
        measured("carl", 0, 0, 0),
        measured("anna", 10, 10, 0, method="other"),
    ]
    row = summarise(sets, "plain", 1, CALIBRATION)
    assert row.observed == pytest.approx((0.1 + 0.3) / 2)
    assert row.observed_error == pytest.approx(0.1)
    assert row.stretch == pytest.approx((2 + 1 + 1) / 3)
    assert (row.n_test, row.n_calibration, row.false_alarms, row.without_class) == (2, 30, 1, 2)
    text = render_table([row], "mm")
    cells = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    assert cells == ["plain", "heart", "30", "2", "0.100", "0.070", "0.200 (0.100)", "1.33", "0.500", "3.00", "n/a", "2.0", "1/2"]  # fmt: skip
    assert "HD95 (mm)" in text
