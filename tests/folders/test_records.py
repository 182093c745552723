"""A folder of maps tells which network made them, as far as it can; another one's maps are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_rwcp import Calibration
from monai_rwcp.folders.records import network_name
from tests.helpers.map_folders import run, write_cohort

PLANS = {
    "dataset_name": "Dataset001_Heart",
    "plans_name": "nnUNetPlans",
    "configurations": {"2d": {}, "3d_fullres": {}},
}
DATASET = {"labels": {"background": 0, "a": 1, "b": 2}, "numTraining": 30, "file_ending": ".nii.gz"}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {form: tmp_path_factory.mktemp(form) for form in ("nnunet", "channels-last")}
    for form, folder in made.items():
        write_cohort(folder, form)
    return made


def copied(cohort: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cohort, tmp_path / "cohort"))


def calibrated(folder: Path, form: str, *options: object, code: int = 0) -> str:
    arguments = ("--labels", folder / "calibrate" / "labels", "--units", folder / "calibrate.csv", "--alpha", 0.2)
    out = ("--out", folder / "calibration.json")
    ran = run("calibrate", folder / "calibrate" / "maps", "--form", form, *arguments, *out, *options)
    assert ran.exit_code == code, ran.output
    return ran.output


def predicted(folder: Path, form: str, *options: object, code: int = 0) -> str:
    given = ("--calibration", folder / "calibration.json", "--out", folder / "sets")
    ran = run("predict", folder / "test" / "maps", "--form", form, *given, *options)
    assert ran.exit_code == code, ran.output
    assert (folder / "sets").exists() == (code == 0)
    return ran.output


def leave_plans(maps: Path, plans: dict, dataset: dict = DATASET) -> None:
    (maps / "plans.json").write_text(json.dumps(plans))
    (maps / "dataset.json").write_text(json.dumps(dataset))


def test_nothing_is_known_of_maps_in_nifti_and_the_promise_says_so(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["channels-last"], tmp_path)
    assert "Nothing guards this promise against the scores of another network" in calibrated(folder, "channels-last")
    record = Calibration.load(folder / "calibration.json").provenance
    assert record.maps == {"form": "channels-last"}
    assert record.network is None
    predicted(folder, "channels-last")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ((PLANS | {"dataset_name": "Dataset002_Heart"}, DATASET), "plans.json"),
        ((PLANS, DATASET | {"numTraining": 31}), "dataset.json"),
    ],
)
def test_maps_of_another_training_of_nnunet_are_refused_before_any_is_read(
    cohorts: dict[str, Path], tmp_path: Path, changed: tuple[dict, dict], named: str
) -> None:
    folder = copied(cohorts["nnunet"], tmp_path)
    leave_plans(folder / "calibrate" / "maps", PLANS)
    assert "another fold, configuration or checkpoint of its training would not be noticed" in calibrated(
        folder, "nnunet"
    )
    leave_plans(folder / "test" / "maps", *changed)
    message = predicted(folder, "nnunet", code=1)
    assert f"maps.{named} is" in message
    assert str(folder / "test" / "maps") in message
    # Where nnU-Net's files are not there, nothing shows it either.
    (folder / "test" / "maps" / named).unlink()
    assert f"maps.{named} is not recorded" in predicted(folder, "nnunet", code=1)
    # nnU-Net may write its files in another order of keys.
    leave_plans(folder / "test" / "maps", dict(reversed(PLANS.items())))
    predicted(folder, "nnunet")


def test_the_files_of_a_training_lie_above_the_maps_of_its_validation(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["nnunet"], tmp_path)
    training = folder / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    shutil.move(folder / "calibrate" / "maps", training / "fold_0" / "validation")
    leave_plans(training, PLANS)
    arguments = ("--labels", folder / "calibrate" / "labels", "--form", "nnunet", "--out", folder / "calibration.json")
    assert run("calibrate", training / "fold_0" / "validation", *arguments).exit_code == 0
    leave_plans(folder / "test" / "maps", PLANS)
    predicted(folder, "nnunet")
    leave_plans(folder / "test" / "maps", PLANS | {"plans_name": "another"})
    shutil.rmtree(folder / "sets")
    predicted(folder, "nnunet", code=1)


def test_what_a_person_names_as_the_network_is_compared(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["channels-last"], tmp_path)
    checkpoint = folder / "checkpoint_final.pth"
    checkpoint.write_bytes(b"weights")
    assert "guard" not in calibrated(folder, "channels-last", "--network", checkpoint)
    assert "network is not recorded" in predicted(folder, "channels-last", code=1)
    other = folder / "other.pth"
    other.write_bytes(b"Weights")
    assert "network is 'file sha256:" in predicted(folder, "channels-last", "--network", other, code=1)
    moved = folder / "moved.pth"
    shutil.copy(checkpoint, moved)
    predicted(folder, "channels-last", "--network", moved)
    # A run goes on only with the maps of the same network.
    given = ("--calibration", folder / "calibration.json", "--out", folder / "sets", "--form", "channels-last")
    assert run("predict", folder / "test" / "maps", *given).exit_code == 1


def test_a_name_guards_against_another_name_and_the_promise_says_that_it_is_one(
    cohorts: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(cohorts["channels-last"], tmp_path)
    assert "Only a name that a person gave ('net of May') guards this promise" in calibrated(
        folder, "channels-last", "--network", "net of May"
    )
    assert "'named net of June'" in predicted(folder, "channels-last", "--network", "net of June", code=1)
    predicted(folder, "channels-last", "--network", " net of May")


@pytest.mark.parametrize("mistyped", ["checkpoint_fnal.pth", "folder/checkpoint", "C:\\net.pt", "plans.json"])
def test_a_file_that_is_not_there_is_no_name(mistyped: str) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file"):
        network_name(mistyped)
    assert network_name("nnU-Net 2.8") == "named nnU-Net 2.8"


def test_a_damaged_file_of_nnunet_is_named(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["nnunet"], tmp_path)
    (folder / "calibrate" / "maps" / "plans.json").write_text('{"dataset_name": ')
    assert "plans.json" in calibrated(folder, "nnunet", code=1)
    assert not (folder / "calibration.json").exists()


def program(folder: Path, says: str) -> None:
    """Let the headers of maps say which program wrote them."""
    for path in folder.iterdir():
        image = nibabel.load(path)
        image.header["descrip"] = says
        nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header), path)


def test_what_headers_say_of_the_program_is_compared(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["channels-last"], tmp_path)
    program(folder / "calibrate" / "maps", "Program 5")
    calibrated(folder, "channels-last")
    assert (Calibration.load(folder / "calibration.json").provenance.maps or {})["written_by"] == "Program 5"
    program(folder / "test" / "maps", "Program 6")
    output = run(
        *("predict", folder / "test" / "maps", "--form", "channels-last", "--calibration"),
        *(folder / "calibration.json", "--out", folder / "sets"),
    ).output
    assert "maps.written_by is 'Program 6', but the calibration has 'Program 5'" in output
    program(folder / "test" / "maps", "Program 5")
    shutil.rmtree(folder / "sets")
    predicted(folder, "channels-last")


def test_programs_that_differ_from_case_to_case_say_nothing(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["channels-last"], tmp_path)
    maps = folder / "calibrate" / "maps"
    program(maps, "one")
    (maps / "other").mkdir()
    first = next(path for path in sorted(maps.iterdir()) if path.is_file())
    shutil.move(first, maps / "other")
    program(maps / "other", "two")
    shutil.move(maps / "other" / first.name, first)
    (maps / "other").rmdir()
    calibrated(folder, "channels-last")
    assert (Calibration.load(folder / "calibration.json").provenance.maps or {})["written_by"] == "varies"
    predicted(folder, "channels-last")


def test_a_source_of_features_that_nothing_uses_is_refused(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["channels-last"], tmp_path)
    output = calibrated(folder, "channels-last", "--extractor", "mind", code=1)
    assert "The score 'plain' does not walk" in output
    assert "--extractor" in output


def test_figures_by_case_for_a_promise_about_patients_say_so(cohorts: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(cohorts["channels-last"], tmp_path)
    calibrated(folder, "channels-last")
    predicted(folder, "channels-last")
    given = ("--labels", folder / "test" / "labels", "--calibration", folder / "calibration.json")
    by_case = run("evaluate", folder / "sets", *given)
    assert by_case.exit_code == 0, by_case.output
    assert "The promise is about patients, but what is observed here is by case" in by_case.output
    by_patient = run("evaluate", folder / "sets", *given, "--units", folder / "test.csv")
    assert "The promise is about" not in by_patient.output
