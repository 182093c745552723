"""The demo's whole course, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from monai_rwcp.cli import main
from monai_rwcp.conformal import Calibration
from monai_rwcp.demo import phantom_patient, write_cohort
from monai_rwcp.demo.cohort import CohortSizes
from monai_rwcp.demo.run import DemoResult, run_demo
from monai_rwcp.tune import TunedSettings


def test_a_patient_is_the_same_in_any_cohort(tmp_path: Path) -> None:
    cases = write_cohort(tmp_path, 2, seed=3, first=5)
    image, label, affine = phantom_patient(3, 6)
    assert cases[1]["patient"] == "patient006"
    np.testing.assert_array_equal(nibabel.load(cases[1]["image"]).get_fdata(), image.astype(float))
    np.testing.assert_array_equal(np.asarray(nibabel.load(cases[1]["label"]).dataobj), label)
    np.testing.assert_allclose(nibabel.load(cases[1]["image"]).affine, affine, atol=1e-5)
    assert not np.array_equal(phantom_patient(3, 5)[1], label)
    assert not np.array_equal(phantom_patient(4, 6)[1], label)


@pytest.fixture(scope="session")
def small_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoResult]:
    out = tmp_path_factory.mktemp("demo")
    return out, run_demo(out, sizes=CohortSizes(3, 4, 20, 3), epochs=15, progress=False)


def test_what_the_demo_leaves(small_demo: tuple[Path, DemoResult]) -> None:
    out, found = small_demo
    assert (out / "table.md").read_text() == found.table
    tuned, plain = Calibration.load(out / "calibration.json"), Calibration.load(out / "calibration_plain.json")
    assert tuned.n == plain.n == dict.fromkeys((1, 2, 3), 20)
    assert tuned.promise == found.promise
    assert tuned.unit_name == "patient"
    assert not plain.provenance.steps
    assert tuned.provenance.side == "original"
    assert (out / "overview.png").stat().st_size > 20_000
    page = (out / "report.html").read_text()
    assert "organ" in page
    assert "nodule" in page
    assert len(list((out / "sets").iterdir())) == 3


def test_nobody_is_in_two_groups(small_demo: tuple[Path, DemoResult]) -> None:
    out, found = small_demo
    groups = json.loads((out / "datalist.json").read_text())
    assert {name: len(cases) for name, cases in groups.items()} == {"train": 3, "tune": 4, "calibrate": 20, "test": 3}
    patients = [case["patient"] for cases in groups.values() for case in cases]
    assert len(set(patients)) == len(patients)
    settings = TunedSettings.load(out / "settings.json")
    assert sorted(settings.units) == [case["patient"] for case in groups["tune"]]
    assert settings.score.name == found.chosen


def test_sets_lie_on_the_grid_of_their_image(small_demo: tuple[Path, DemoResult]) -> None:
    out, _ = small_demo
    for case in json.loads((out / "datalist.json").read_text())["test"]:
        found = nibabel.load(out / "sets" / f"{case['patient']}_image_set.nii.gz")
        source = nibabel.load(out / case["image"])
        np.testing.assert_allclose(found.affine, source.affine, atol=1e-4)
        assert found.shape == (*source.shape, 4)
        assert set(np.unique(np.asarray(found.dataobj))) <= {0, 1}


def test_threads_are_given_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = []

    def stop(*_: object) -> None:
        seen.append(torch.get_num_threads())
        raise RuntimeError("that is enough")

    monkeypatch.setattr("monai_rwcp.demo.run.write_groups", stop)
    before = torch.get_num_threads()
    torch.set_num_threads(5)
    try:
        with pytest.raises(RuntimeError, match="that is enough"):
            run_demo(tmp_path)
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(before)
    assert seen == [1]


def test_what_the_command_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = DemoResult("| a table |\n", "in words", "blur 1", "a promise")
    monkeypatch.setattr("monai_rwcp.demo.run.run_demo", lambda out, seed: told)
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "new")])
    assert result.exit_code == 0
    for text in ("| a table |", "in words", "Tuning chose: blur 1", "a promise", f"Open {tmp_path}/new/report.html"):
        assert text in result.output
    command = next(line for line in result.output.splitlines() if line.startswith("  monai-rwcp"))
    # The next command to type is one that there is, with options that it has.
    known = CliRunner().invoke(main, [command.split()[1], "--help"])
    assert known.exit_code == 0
    assert all(word in known.output for word in command.split() if word.startswith("--"))


@pytest.mark.parametrize("way", ["", "new/.."])
def test_nothing_is_overwritten(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_rwcp.demo.run.run_demo", lambda out, seed: pytest.fail("the demo has begun"))
    (tmp_path / "mine.txt").write_text("kept")
    result = CliRunner().invoke(main, ["demo", "--out", f"{tmp_path}/{way}"])
    assert result.exit_code == 2
    assert "is not empty; nothing there is overwritten" in result.output
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.txt"]


def test_a_seed_below_zero_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "new"), "--seed", "-1"])
    assert result.exit_code == 2
    assert "Invalid value for '--seed': -1 is not in the range x>=0." in result.output
    assert not (tmp_path / "new").exists()
