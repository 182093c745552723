"""Processes that `torchrun` starts share a folder, with the result of one process, and pick up what a broken run left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.map_folders import N, run, write_cohort
from tests.helpers.processes import command_in_processes, torchrun


def timeless(path: Path) -> dict:
    document = json.loads(path.read_text())
    return {key: value for key, value in document.items() if key not in ("created", "digest")}


def log_of(out: Path) -> dict:
    log = json.loads((out / "run.json").read_text())
    for entry in log["cases"].values():
        del entry["seconds"]
    # Calibrations differ by the second they were made in.
    del log["made_with"]["calibration"]
    return log


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    write_cohort(tmp_path, "channels-last")
    return tmp_path


def calibrating(cohort: Path, out: str) -> list[object]:
    return [
        *("calibrate", cohort / "calibrate/maps", "--form", "channels-last", "--labels", cohort / "calibrate/labels"),
        *("--units", cohort / "calibrate.csv", "--alpha", 0.2, "--out", cohort / out),
    ]


def predicting(cohort: Path, calibration: str, out: str) -> list[object]:
    maps = ["predict", cohort / "test/maps", "--form", "channels-last"]
    return [*maps, "--calibration", cohort / calibration, "--out", cohort / out]


def test_two_processes_find_what_one_finds(cohort: Path) -> None:
    def evaluating(sets: str, calibration: str, out: str) -> list[object]:
        labels = ["--labels", cohort / "test/labels", "--units", cohort / "test.csv"]
        return ["evaluate", cohort / sets, *labels, "--calibration", cohort / calibration, "--out", cohort / out]

    for ran in (run(*calibrating(cohort, "one.json")), run(*predicting(cohort, "one.json", "sets"))):
        assert ran.exit_code == 0, ran.output
    assert run(*evaluating("sets", "one.json", "figures.json")).exit_code == 0

    ran = command_in_processes(2, cohort, *calibrating(cohort, "two.json"))
    assert ran.returncode == 0, ran.stderr
    assert timeless(cohort / "two.json") == timeless(cohort / "one.json")
    # The promise is told once, not by every process.
    assert ran.stdout.count("two.json") == 1
    ran = command_in_processes(2, cohort, *predicting(cohort, "two.json", "shared"))
    assert ran.returncode == 0, ran.stderr
    names = sorted(path.name for path in (cohort / "sets").iterdir())
    assert sorted(path.name for path in (cohort / "shared").iterdir()) == names
    assert len(names) == N // 2 + 1
    for name in names:
        if name != "run.json":
            assert (cohort / "shared" / name).read_bytes() == (cohort / "sets" / name).read_bytes()
    assert log_of(cohort / "shared") == log_of(cohort / "sets")
    ran = command_in_processes(2, cohort, *evaluating("shared", "two.json", "both.json"))
    assert ran.returncode == 0, ran.stderr
    # Each file of figures knows its calibration; these two differ in when they were made, and in nothing else.
    texts = {}
    for figures, calibration in (("figures.json", "one.json"), ("both.json", "two.json")):
        digest = json.loads((cohort / calibration).read_text())["digest"]
        text = (cohort / figures).read_text()
        assert text.count(digest) == 1
        texts[figures] = text.replace(digest, "digest")
    assert texts["both.json"] == texts["figures.json"]


@pytest.mark.slow
def test_torchrun_itself_finds_what_one_process_finds(cohort: Path) -> None:
    assert run(*calibrating(cohort, "one.json")).exit_code == 0
    ran = torchrun(2, "-m", "monai_rwcp", *calibrating(cohort, "two.json"))
    assert ran.returncode == 0, ran.stderr
    assert timeless(cohort / "two.json") == timeless(cohort / "one.json")
    assert ran.stdout.count("two.json") == 1


def test_another_number_of_processes_goes_on_where_a_broken_run_ended(cohort: Path) -> None:
    assert run(*calibrating(cohort, "c.json")).exit_code == 0
    # The second process has the odd cases, and fails at its second.
    broken = cohort / "test/maps/case_015.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    ran = command_in_processes(2, cohort, *predicting(cohort, "c.json", "sets"))
    assert ran.returncode != 0
    assert "case_015.nii.gz' cannot be read" in ran.stderr
    made = {path.name: path.stat().st_mtime_ns for path in (cohort / "sets").glob("*.nii.gz")}
    assert "case_013.nii.gz" in made
    assert "case_015.nii.gz" not in made
    broken.write_bytes(whole)
    ran_alone = run(*predicting(cohort, "c.json", "sets"))
    assert ran_alone.exit_code == 0, ran_alone.output
    assert len(json.loads((cohort / "sets/run.json").read_text())["cases"]) == N // 2
    assert (cohort / "sets/case_013.nii.gz").stat().st_mtime_ns == made["case_013.nii.gz"]
    assert not list((cohort / "sets").glob(".*"))


def test_more_processes_than_cases(cohort: Path) -> None:
    for path in sorted((cohort / "calibrate/maps").iterdir())[1:]:
        path.unlink()
    ran = command_in_processes(2, cohort, *calibrating(cohort, "c.json"))
    assert ran.returncode != 0
    assert "Expected a case for each of the 2 processes, but got 1 in all." in ran.stderr
    assert not (cohort / "c.json").exists()
