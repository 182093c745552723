"""Tables of the study, from rows by hand."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from benchmarks.common.rows import number
from benchmarks.study.failures import failure_tables
from benchmarks.study.figures import by_method_and_split
from benchmarks.study.tables import coverage_lines, distance_table, split_table
from benchmarks.study.targets import choice_table, choice_target, target_table
from tests.helpers.rows_by_hand import row


def test_means_are_over_images_then_classes() -> None:
    rows = [row("a", 0, "one", x=1), row("a", 0, "one", x=3), row("a", 0, "two", x=6), row("a", 0, "two", x=math.nan)]
    rows += [row("a", 1, "one", x=5), row("b", 0, "one", x=math.nan)]
    found = by_method_and_split(rows, partial(number, "x"))
    assert found["a"] == [4.0, 5.0]
    assert np.isnan(found["b"]).tolist() == [True, True]


def test_what_is_not_known_is_not_left_out_silently() -> None:
    def row(method: str, split: int, name: str, value: float) -> dict[str, str]:
        of = {"observed": value, "stretch": value, "dice": value, "false_alarms": value, "working_level": 0.05}
        ids = {"method": method, "split": str(split), "class_name": name, "alpha": "0.1"}
        return ids | {key: str(x) for key, x in of.items()}

    nan = math.nan
    values = {
        "plain CRC": [(0.2, 0.4), (0.2, nan), (nan, nan)],
        "other": [(0.1, nan), (0.1, nan), (nan, nan)],
    }
    rows = [
        row(method, split, name, x)
        for method, of in values.items()
        for split, both in enumerate(of)
        for name, x in zip(("easy", "hard"), both, strict=True)
    ]
    found = by_method_and_split(rows, partial(number, "stretch"))
    # In the first split the other has no figure of the hard class; in the second nobody has.
    assert found["plain CRC"][:2] == pytest.approx([0.3, 0.2])
    assert math.isnan(found["plain CRC"][2])
    assert math.isnan(found["other"][0])
    assert found["other"][1] == pytest.approx(0.1)
    table = split_table(rows)
    assert "0.250 (0.071) in 2 of 3 splits, +0%" in table
    # Compared in the one split that both have.
    assert "0.100 in 1 of 3 splits, -50%" in table
    kept = coverage_lines({"noise": [row("plain CRC", i, "easy", 0.5 if i else nan) for i in range(5)]})
    assert "above the promise in 1" in kept[0]
    assert "In 1 some split has no test patient who shows the class" in kept[0]


def test_a_broken_promise_is_named() -> None:
    random = np.random.default_rng(0)
    tables = {
        "kept": [row("m", i, "one", alpha=0.1, observed=x) for i, x in enumerate(random.normal(0.1, 0.02, 100))],
        "broken": [row("m", i, "one", alpha=0.1, observed=x) for i, x in enumerate(random.normal(0.12, 0.02, 100))],
    }
    head, *named = coverage_lines(tables)
    assert head.startswith("2 cells")
    assert len(named) == 1
    assert named[0].startswith("- broken, 0.1, m, one: 0.1")


def test_targets_against_the_best_baseline() -> None:
    distances = {"plain CRC": 10, "blur, tuned": 8, "dilation, tuned": 9, "bilateral, tuned": 6, "walk": 5.45}
    rows = [
        row(m, s, "one", average_surface_distance=d, hausdorff_distance_95=d, true=10, missed=1, size=int(10 + 2 * d))
        for m, d in distances.items()
        for s in range(2)
    ]
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in target_table({"acdc-slices-8": rows}, "walk", with_empty=True).splitlines()
    ]
    found = {(line[1], line[2]): (line[5], line[8]) for line in lines[2:]}
    assert found["HD95", "plain CRC"] == ("-45.5%", "met")
    assert found["ASSD", "bilateral, tuned"] == ("-9.2%", "missed")
    assert found["HD95", "bilateral, tuned"] == ("-9.2%", "missed")
    # Dice 18/30 against 18/32.
    assert found["Dice", "bilateral, tuned"] == (f"{18 / 30 - 18 / 32:+.3f}", "met")


def test_the_choice_against_the_best_baseline() -> None:
    random = np.random.default_rng(0)
    rows = []
    for s in range(100):
        luck = random.normal(0, 1)
        for method, stretch, dice in (
            ("plain CRC", 9, 0.2),
            ("blur, tuned", 4 + luck, 0.4),
            ("bilateral, tuned", 3 + luck, 0.5),
            ("what tune chooses", 3.1 + luck, 0.5 + (0.1 if s % 2 else -0.1)),
        ):
            rows.append(row(method, s, "one", alpha=0.1, stretch=stretch, dice=dice))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in choice_table(rows).splitlines()[2:]]
    # A difference far below what splits scatter by, yet in each of them.
    assert lines[0] == ["0.1", "stretch", "bilateral, tuned", "+0.100", "+0.100 to +0.100", "100%", "worse"]
    assert lines[1] == ["0.1", "Dice", "bilateral, tuned", "+0.000", "-0.100 to +0.100", "50%", "alike"]
    assert choice_target(rows) == "missed (stretch at 0.1)"
    assert choice_target([{**row, "stretch": "1"} for row in rows]) == "met"


def test_empty_sets_are_told_apart() -> None:
    figures = {"average_surface_distance": 2, "hausdorff_distance_95": 4, "components": 1, "bleeding": 0.5}
    far = {"average_surface_distance": 10, "hausdorff_distance_95": 10, "components": 0, "bleeding": math.nan}
    rows = [row("plain CRC", 0, "one", size=5, **figures), row("plain CRC", 0, "one", size=0, **far)]
    line = distance_table(rows, "px").splitlines()[2]
    assert line == "| plain CRC | 0.500 | 2.000, +0% | 4.000, +0% | 6.000, +0% | 7.000, +0% | 1.000 | 0.500 |"


def test_failures_are_by_size_position_and_patient() -> None:
    rows = [
        row(
            "m",
            0,
            "one",
            unit=f"p{i:02d}",
            position=i / 9,
            true=10 * (i + 1),
            missed=(i + 1) * (2 if i < 5 else 1),
            size=9,
        )
        for i in range(10)
    ]
    text = failure_tables(rows, ["m"])
    assert "| one | 0.150 |" in text
    assert "| one, truths of up to 40 voxels (a third) | 0.200 |" in text
    assert "| first half of the slices of those looked at, from 0.00 to 1.00 of the depth | 0.200 |" in text
    assert "| 1 | p04: 0.20 |" in text
    assert "| 10 | p05: 0.10 |" in text


def test_change_is_against_plain() -> None:
    rows = [
        row(m, s, "one", alpha=0.1, working_level=0.05, observed=0.06, stretch=x + s, dice=0.5, false_alarms=math.nan)
        for m, x in (("plain CRC", 2.0), ("walk", 1.0))
        for s in (0, 1)
    ]
    line = "| 0.1 | 0.050 | walk | 0.060 (0.000) | 0.060, one | 1.500 (0.707), -40% | 0.500 (0.000) | - |"
    assert line in split_table(rows)
    others = [
        {**one, "class_name": "two", "observed": rate}
        for one, rate in zip(rows, ["0.07", "nan", "nan", "nan"], strict=True)
    ]
    table = split_table(rows + others).splitlines()
    assert [line.split(" | ")[4] for line in table[2:]] == ["0.070, two", "0.060, one"]
