"""What a command says: its own options, once, and nothing that steers the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_rwcp.cli import main
from monai_rwcp.commands.wording import as_command_says
from monai_rwcp.conformal import Calibration
from tests.helpers.map_folders import run, run_apart, save, truth_and_map, write_cohort
from tests.helpers.processes import command_in_processes

PYTHON = re.compile(r"\w+_key\b|label_mode|\b(?!file)[a-z]+_[a-z]+=|`\w+`|trust=|Activationsd|CopyItemsd")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    write_cohort(tmp_path, "channels-last")
    return tmp_path


def calibrating(cohort: Path, *more: Any) -> list[Any]:
    given = ["--form", "channels-last", "--labels", cohort / "calibrate/labels", "--out", cohort / "calibration.json"]
    return ["calibrate", cohort / "calibrate/maps", *given, "--alpha", 0.2, *more]


def changed(path: Path, change: Any) -> None:
    image = nibabel.load(path)
    save(change(np.asarray(image.dataobj)), path)


MAPS: dict[str, tuple[Any, str]] = {
    "logits": (lambda v: 9 * v - 4, "looks like logits: apply softmax or sigmoid before the maps are saved."),
    "percent": (lambda v: 100 * v, "looks like percent: divide by 100."),
    "mask": (
        lambda v: (v > 0.5).astype(np.float32),
        "so it looks like a mask. Name the folder of the probability maps",
    ),
}


@pytest.mark.parametrize("kind", MAPS)
def test_advice_about_one_bad_map_is_for_files(kind: str, cohort: Path) -> None:
    change, message = MAPS[kind]
    changed(cohort / "calibrate/maps/case_007.nii.gz", change)
    ran = run(*calibrating(cohort))
    assert ran.exit_code == 1
    said = ran.output[ran.output.index("Error") :]
    assert said.startswith("Error: Case 'case_007': ")
    assert message in " ".join(said.split())
    assert not PYTHON.search(said)


def test_one_map_of_other_channels_is_named(cohort: Path) -> None:
    changed(cohort / "calibrate/maps/case_007.nii.gz", lambda v: np.concatenate([v, 0 * v[..., :1]], axis=-1))
    ran = run(*calibrating(cohort))
    assert ran.exit_code == 1
    assert "Error: The number of channels is 3 for 'case_000' and 4 for 'case_007'." in ran.output


def test_advice_about_labels_is_for_files(cohort: Path) -> None:
    changed(cohort / "calibrate/labels/case_007.nii.gz", lambda v: np.where(v == 2, 7, v))
    ran = run(*calibrating(cohort))
    said = ran.output[ran.output.index("Error") :]
    assert "Case 'case_007': " in said
    assert "it also holds 7. Map these to classes." in " ".join(said.split())
    assert not PYTHON.search(said)


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("calibrate", ["--alpha", "2"], "Expected --alpha "),
        ("tune", ["--alpha", "2"], "Expected --alpha "),
        ("tune", ["--n-calibration", "1"], "Expected --n-calibration "),
        ("tune", ["--seed", "-1"], "Expected --seed "),
    ],
)
def test_options_are_named_as_they_are_called(command: str, arguments: list[str], message: str, cohort: Path) -> None:
    if command == "calibrate":
        ran = run(*calibrating(cohort, *arguments))
    else:
        cases = cohort / "calibrate"
        item = '{{"image": "{0}", "pred": "{1}", "label": "{2}", "patient": "{3}"}}'
        items = [
            item.format(cases / f"images/case_{i:03d}_0000.nii.gz", cases / f"maps/case_{i:03d}.nii.gz", cases / f"labels/case_{i:03d}.nii.gz", i)
            for i in range(12)
        ]  # fmt: skip
        (cohort / "datalist.json").write_text('{"tuning": [' + ", ".join(items) + "]}")
        ran = run("tune", cohort / "datalist.json", "--out", cohort / "tuned", *arguments)
    assert ran.exit_code == 1
    said = ran.output[ran.output.index("Error") :]
    assert said.startswith(f"Error: {message}"), said
    assert not PYTHON.search(said.replace("alpha=", ""))


@pytest.mark.parametrize(
    ("command", "message", "said"),
    [
        ("merge", "Where they are the same, say so (shared_units=True).", "Where they are the same, say so (--shared-units)."),
        ("features", 'Give intensity="percentiles" or intensity=(low, high).', "Give --intensity percentiles or --intensity low,high."),
        ("report", "Expected `n_shown` from 0 on.", "Expected --worst from 0 on."),
        ("predict", "If you trust its maker, say so: `trust=True`.", "If you trust its maker, say so: --trust."),
        ("card", "Expected `alpha`, but k=3 and x = y.", "Expected `alpha`, but k=3 and x = y."),
    ],
)  # fmt: skip
def test_arguments_become_the_options_of_the_command_that_runs(command: str, message: str, said: str) -> None:
    found = main.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    with found.make_context(command, [], resilient_parsing=True):
        assert as_command_says(message) == said
    assert as_command_says(message) == message


def test_without_units_the_promise_is_about_cases_and_says_why(cohort: Path) -> None:
    ran = run(*calibrating(cohort))
    assert ran.exit_code == 0, ran.output
    promise = Calibration.load(cohort / "calibration.json").promise
    for said in (ran.output, promise):
        assert "is missed in a new case that shows it (calibrated on 12 cases)" in said
        assert (
            "Every case counts by itself, because nobody said which are of one patient: where several are, the promise"
            in said
        )
    assert "patient" not in promise.replace("of one patient", "")
    assert "name the patients by --units" in ran.output
    (cohort / "calibration.json").unlink()
    ran = run(*calibrating(cohort, "--units", cohort / "calibrate.csv"))
    assert "in a new patient who shows it (calibrated on 6 patients)" in ran.output
    assert "by itself" not in ran.output


def test_a_report_without_units_does_not_speak_of_patients(cohort: Path) -> None:
    assert run(*calibrating(cohort, "--units", cohort / "calibrate.csv")).exit_code == 0
    maps = ["predict", cohort / "test/maps", "--form", "channels-last"]
    assert run(*maps, "--calibration", cohort / "calibration.json", "--out", cohort / "sets").exit_code == 0
    labels = ["--labels", cohort / "test/labels", "--calibration", cohort / "calibration.json"]
    for name, units in (("cases", []), ("patients", ["--units", cohort / "test.csv"])):
        ran = run("report", cohort / "sets", *labels, *units, "--out", cohort / f"{name}.html")
        assert ran.exit_code == 0, ran.output
    assert "12 images of 12 cases." in (cohort / "cases.html").read_text()
    assert "The promise is about patients, but what is observed here is by case" in (cohort / "cases.html").read_text()
    assert "12 images of 6 patients." in (cohort / "patients.html").read_text()
    assert "name units alike" not in (cohort / "patients.html").read_text()


def test_names_of_files_do_not_steer_the_terminal(tmp_path: Path) -> None:
    label, shares = truth_and_map(0)
    for i, name in enumerate(["plain", "\x1b[2Jcleared", "turned\u202e", "two\nlines"]):
        save(shares, tmp_path / "maps" / f"{name}.nii.gz")
        save(np.where(label == 2, 7 + i, label), tmp_path / "labels" / f"{name}.nii.gz")
    given = ["--form", "channels-last", "--labels", tmp_path / "labels", "--out", tmp_path / "c.json"]
    ran = run("calibrate", tmp_path / "maps", *given, "--dry-run")
    assert len(ran.output.splitlines()) == 5
    assert all(line.isprintable() for line in ran.output.splitlines())
    ran = run("calibrate", tmp_path / "maps", *given)
    assert ran.exit_code == 1
    said = ran.output[ran.output.index("Error") :]
    assert all(line.isprintable() for line in said.splitlines())


def test_an_error_is_told_once(cohort: Path) -> None:
    changed(cohort / "calibrate/maps/case_007.nii.gz", lambda v: 100 * v)
    ran = command_in_processes(1, cohort, *calibrating(cohort))
    assert (ran.stdout + ran.stderr).count("looks like percent") == 1
    (cohort / "calibrate/labels/case_003.nii.gz").unlink()
    ran = command_in_processes(2, cohort, *calibrating(cohort))
    assert ran.returncode != 0
    assert (ran.stdout + ran.stderr).count("label of case_003") == 1


def test_a_warning_is_told_once_and_plainly(cohort: Path) -> None:
    for i in range(12):
        changed(cohort / f"calibrate/labels/case_{i:03d}.nii.gz", lambda v: np.where(v == 2, 0, v))
    ran = command_in_processes(2, cohort, *calibrating(cohort))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("Warning: Only 0 calibration units count for class 2") == 1
    assert "UserWarning" not in ran.stderr


WALK = ["--score", "recommended"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (WALK, "The score 'recommended' walks by features of the images: give --extractor and --images."),
        ([*WALK, "--extractor", "mind"], "walks by features of its image, but there is none: give --images."),
        (["--score", "best"], "Expected --score to be plain, paper, recommended or a settings file of tune, but there"),
        (["--form", "one-class"], "Name the form of the maps by --form: channels-last, "),
        (["--form", "channels-first"], "Is --form right?"),
        (["--form", "nnunet"], "Name the right folder, or another --form."),
        (["--network", "best.pth"], "There is no file 'best.pth'. Correct the path of the network's checkpoint, or"),
    ],
)
def test_what_is_lacking_is_an_option(arguments: list[str], message: str, cohort: Path) -> None:
    ran = run_apart(*calibrating(cohort, *arguments))
    assert ran.exit_code == 1, ran.stdout
    said = " ".join(ran.stderr[ran.stderr.index("Error") :].split())
    assert message in said
    assert not PYTHON.search(said)
    assert isinstance(ran.exception, SystemExit)


@pytest.mark.parametrize(
    ("then", "now", "message"),
    [
        ([], ["--network", "site B"], "If they are, leave --network out, as in calibrating; if not, calibrate on"),
        (["--network", "site A"], ["--network", "site B"], "give --network 'site A', as in calibrating; if not"),
        (["--network", "site A"], [], "give --network 'site A', as in calibrating; if not"),
        (["--network", __file__], [], "give as --network the checkpoint that was given in calibrating; if not"),
    ],
)
def test_what_to_do_about_another_network(then: list[str], now: list[str], message: str, cohort: Path) -> None:
    assert run(*calibrating(cohort, *then)).exit_code == 0
    given = ["--form", "channels-last", "--calibration", cohort / "calibration.json", "--out", cohort / "sets", *now]
    ran = run("predict", cohort / "test/maps", *given)
    assert ran.exit_code == 1
    assert message in " ".join(ran.output.split())


def test_what_to_do_about_another_score(cohort: Path) -> None:
    assert run(*calibrating(cohort)).exit_code == 0
    given = ["--form", "channels-last", "--calibration", cohort / "calibration.json", "--out", cohort / "sets"]
    walk = [*WALK, "--extractor", "mind", "--images", cohort / "test/images"]
    ran = run("predict", cohort / "test/maps", *given, *walk)
    assert ran.exit_code == 1
    said = " ".join(ran.output.split())
    assert "case_012.nii.gz': the score was not made the way the calibrated ones were: steps is ['walk']" in said
    assert "give --score, --extractor and --intensity as in calibrating" in said
    assert "Key 'pred'" not in said


def test_a_label_in_the_place_of_a_set_is_no_question_of_forms(cohort: Path) -> None:
    assert run(*calibrating(cohort)).exit_code == 0
    labels, made = cohort / "test/labels", ["--calibration", cohort / "calibration.json"]
    ran = run("evaluate", labels, "--labels", labels, *made)
    assert ran.exit_code == 1
    said = " ".join(ran.output.split())
    assert "Expected a set [x, y, z, C] in '" in said
    assert "form" not in said
