"""From folders of maps to sets and figures by the command line, against the Python interface on the same arrays."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import SaveImage

from monai_rwcp.conformal import Calibration, LossTable, calibrate, false_negative_rate_table
from monai_rwcp.features import MINDFeatures
from monai_rwcp.folders import read_map
from monai_rwcp.scores import BlurredScore
from monai_rwcp.tune import TunedSettings
from monai_rwcp.walk import diffuse_probabilities, recommended
from tests.helpers.map_folders import AFFINE, SHAPE, N, run, save, truth_and_map, write_cohort


def expected(score: object = lambda i: torch.from_numpy(np.moveaxis(truth_and_map(i)[1], -1, 0).copy())) -> Calibration:
    tables = []
    for i in range(N // 2):
        label = torch.from_numpy(truth_and_map(i)[0])[None]
        tables.append(false_negative_rate_table(score(i), label, unit=f"patient {i // 2}", image=str(i)))  # type: ignore[operator]
    return calibrate(LossTable.join(tables), 0.2)


@pytest.mark.parametrize("form", ["channels-last", "channels-first", "nnunet"])
def test_every_form_gives_the_sets_of_the_python_interface(form: str, tmp_path: Path) -> None:
    write_cohort(tmp_path, form)
    file, out = tmp_path / "calibration.json", tmp_path / "sets"
    maps = ["--form", form]
    ran = run(
        *("calibrate", tmp_path / "calibrate/maps", *maps, "--labels", tmp_path / "calibrate/labels", "--alpha", 0.2),
        *("--units", tmp_path / "calibrate.csv", "--class-names", "background, organ, lesion", "--out", file),
    )
    assert ran.exit_code == 0, ran.output
    assert "of organ is missed in a new patient" in ran.output.replace("\n", " ")
    found, wanted = Calibration.load(file), expected()
    assert found.lambda_hat == wanted.lambda_hat
    assert found.n == {1: N // 4, 2: N // 4}

    ran = run("predict", tmp_path / "test/maps", *maps, "--calibration", file, "--out", out)
    assert ran.exit_code == 0, ran.output
    log = json.loads((out / "run.json").read_text())
    missed = []
    for i in range(N // 2, N):
        label, shares = truth_and_map(i)
        image = nibabel.load(out / f"case_{i:03d}.nii.gz")
        values = np.asarray(image.dataobj)
        assert values.dtype == np.uint8
        assert values.shape == (*SHAPE, 3)
        np.testing.assert_allclose(image.affine, AFFINE)
        for c in (1, 2):
            assert np.array_equal(values[..., c] == 1, shares[..., c] >= np.float32(wanted.threshold[c]))
        assert log["cases"][f"case_{i:03d}"]["voxels"] == values.reshape(-1, 3).sum(axis=0).tolist()
        missed.append([((label == 1) & (values[..., 1] == 0)).sum(), (label == 1).sum()])

    ran = run(
        *("evaluate", out, "--labels", tmp_path / "test/labels", "--units", tmp_path / "test.csv"),
        *("--calibration", file, "--out", tmp_path / "figures.json"),
    )
    assert ran.exit_code == 0, ran.output
    by_patient = np.array(missed).reshape(-1, 2, 2).sum(axis=1)
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["pred_set_fnr_1"] == pytest.approx((by_patient[:, 0] / by_patient[:, 1]).mean())
    assert f"| organ | 0.2 | {figures['pred_set_fnr_1']:.4g} |" in ran.output


def test_scores_that_walk_and_scores_that_were_tuned(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    common = ["calibrate", tmp_path / "calibrate/maps", "--form", "channels-last", "--labels"]
    common += [tmp_path / "calibrate/labels", "--alpha", 0.2, "--units", tmp_path / "calibrate.csv"]
    features = ["--images", tmp_path / "calibrate/images", "--extractor", "mind"]
    walked, blur = tmp_path / "walked.json", tmp_path / "blurred.json"
    ran = run(*common, "--score", "recommended", *features, "--out", walked)
    assert ran.exit_code == 0, ran.output
    settings = tmp_path / "settings.json"
    TunedSettings(BlurredScore(1.5), ("zoe",), "patient", 0.2, "stretch", "it was best").save(settings)
    ran = run(*common, "--score", settings, "--out", blur)
    assert ran.exit_code == 0, ran.output

    def plain(i: int) -> torch.Tensor:
        return torch.from_numpy(np.moveaxis(truth_and_map(i)[1], -1, 0).copy())

    def walk(i: int) -> torch.Tensor:
        image = nibabel.load(tmp_path / f"calibrate/images/case_{i:03d}_0000.nii.gz")
        at = MetaTensor(torch.from_numpy(np.asarray(image.dataobj))[None], affine=torch.from_numpy(AFFINE))
        return diffuse_probabilities(
            plain(i), torch.as_tensor(MINDFeatures()(at)), recommended(), spacing=[1.5, 2.0, 3.0]
        )

    assert Calibration.load(walked).lambda_hat == pytest.approx(expected(walk).lambda_hat, abs=1e-6)
    assert Calibration.load(blur).lambda_hat == expected(lambda i: BlurredScore(1.5).make(plain(i))).lambda_hat
    # A plain score is refused by thresholds of walked ones, and nothing of it is left as a set.
    ran = run(
        "predict", tmp_path / "test/maps", "--form", "channels-last", "--calibration", walked, "--out", tmp_path / "s"
    )
    assert ran.exit_code == 1
    assert "case_012.nii.gz" in ran.output
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["run.json"]
    # Whatever tuning called its units; and without their names nobody could tell.
    TunedSettings(BlurredScore(1.5), ("patient 3",), "subject", 0.2, "stretch", "it was best").save(settings)
    unnamed = [part for part in common if part not in ("--units", tmp_path / "calibrate.csv")]
    for arguments, message in ((common, "patient 3"), (unnamed, "belong to --units")):
        ran = run(*arguments, "--score", settings, "--out", tmp_path / "other.json")
        assert ran.exit_code == 1
        assert message in ran.output
    # Cases are no patients: nobody can tell whether they are of some that are calibrated on.
    TunedSettings(BlurredScore(1.5), ("case_003",), "case", 0.2, "stretch", "it was best").save(settings)
    ran = run(*common, "--score", settings, "--out", tmp_path / "other.json")
    assert ran.exit_code == 1
    assert "were tuned on units called 'case', so nobody can tell" in ran.output
    # Patients that the settings were chosen on are refused.
    TunedSettings(BlurredScore(1.5), ("patient 3",), "patient", 0.2, "stretch", "it was best").save(settings)
    for name in ("settings.json", "tuned.settings", "tuned.JSON"):
        settings.rename(tmp_path / name)
        settings = tmp_path / name
        ran = run(*common, "--score", settings, "--out", tmp_path / "other.json")
        assert ran.exit_code == 1
        assert "patient 3" in ran.output
        assert not (tmp_path / "other.json").exists()
    # Whatever the file is called, the log of the sets knows its contents.
    TunedSettings(BlurredScore(1.5), ("zoe",), "patient", 0.2, "stretch", "it was best").save(settings)
    predict = ["predict", tmp_path / "test/maps", "--form", "channels-last", "--calibration", blur]
    predict += ["--score", settings, "--out", tmp_path / "tuned_sets"]
    assert run(*predict).exit_code == 0
    logged = json.loads((tmp_path / "tuned_sets/run.json").read_text())
    assert logged["made_with"]["score"] == json.loads(settings.read_text())["digest"]


def test_one_structure_with_a_sigmoid(tmp_path: Path) -> None:
    for i in range(12):
        label, shares = truth_and_map(i)
        save((label == 1).astype(np.uint8), tmp_path / "labels" / f"{i}.nii.gz")
        save(shares[..., 1], tmp_path / "maps" / f"{i}.nii.gz")
    file = tmp_path / "c.json"
    ran = run(
        *("calibrate", tmp_path / "maps", "--form", "one-class", "--labels", tmp_path / "labels", "--alpha", 0.2),
        *("--class-names", "organ", "--out", file),
    )
    assert ran.exit_code == 0, ran.output
    tables = [
        false_negative_rate_table(
            torch.from_numpy(truth_and_map(i)[1][..., 1].copy())[None],
            torch.from_numpy(truth_and_map(i)[0] == 1)[None].float(),
            unit=str(i),
            label_mode="regions",
        )
        for i in range(12)
    ]
    assert Calibration.load(file).lambda_hat == calibrate(LossTable.join(tables), 0.2).lambda_hat
    ran = run("predict", tmp_path / "maps", "--form", "one-class", "--calibration", file, "--out", tmp_path / "sets")
    assert ran.exit_code == 0, ran.output
    ran = run("evaluate", tmp_path / "sets", "--labels", tmp_path / "labels", "--calibration", file)
    assert ran.exit_code == 0, ran.output
    assert "| organ | 0.2 | " in ran.output


def test_maps_that_monai_saved_in_2d(tmp_path: Path) -> None:
    shares = torch.rand(3, 9, 7)
    SaveImage(tmp_path, output_postfix="", separate_folder=False, resample=False, print_log=False)(
        MetaTensor(shares, affine=torch.eye(4), meta={"filename_or_obj": "anna.nii.gz"})
    )
    (path,) = tmp_path.iterdir()
    found = read_map(path, "channels-last")
    torch.testing.assert_close(found.as_tensor(), shares)


def test_an_interrupted_run_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    file, out = tmp_path / "c.json", tmp_path / "sets"
    common = ["calibrate", tmp_path / "calibrate/maps", "--form", "channels-last"]
    common += ["--labels", tmp_path / "calibrate/labels", "--alpha", 0.2]
    assert run(*common, "--out", file).exit_code == 0
    again = run(*common, "--out", file)
    assert again.exit_code == 1
    assert "exists" in again.output
    predict = ["predict", tmp_path / "test/maps", "--form", "channels-last", "--calibration", file, "--out", out]
    broken = tmp_path / "test/maps/case_015.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    ran = run(*predict)
    assert ran.exit_code == 1
    assert "case_015.nii.gz' cannot be read; it may be truncated" in ran.output
    first = out / "case_013.nii.gz"
    made = first.stat().st_mtime_ns
    assert not (out / "case_015.nii.gz").exists()
    broken.write_bytes(whole)
    ran = run(*predict)
    assert ran.exit_code == 0, ran.output
    assert first.stat().st_mtime_ns == made
    assert len(list(out.glob("*.nii.gz"))) == N // 2
    assert run(*common, "--out", file, "--overwrite", "--alpha", 0.3).exit_code == 0
    ran = run(*predict)
    assert ran.exit_code == 1
    said = " ".join(ran.output.split())
    # What differs, and nothing else.
    assert "made another way: calibration sha256:" in said
    assert all(word not in said for word in ("score", "extractor", "{"))
    assert said.endswith("Name another folder, or make them anew (--overwrite).")
    assert run(*predict, "--overwrite").exit_code == 0
    assert first.stat().st_mtime_ns != made
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    ran = run(*predict[:-1], tmp_path / "full")
    assert ran.exit_code == 1
    assert "is not empty" in ran.output


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    ran = run(
        *(
            "calibrate",
            tmp_path / "calibrate/maps",
            "--form",
            "channels-last",
            "--labels",
            tmp_path / "calibrate/labels",
        ),
        *("--units", tmp_path / "calibrate.csv", "--out", tmp_path / "c.json", "--dry-run"),
    )
    assert ran.exit_code == 0, ran.output
    assert "12 cases of 6 units; nothing was written." in ran.output
    assert not (tmp_path / "c.json").exists()


def test_a_step_that_fails_says_why(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    save(np.ones(SHAPE, np.float32), tmp_path / "calibrate/images/case_004_0000.nii.gz")
    ran = run(
        *("calibrate", tmp_path / "calibrate/maps", "--form", "channels-last", "--out", tmp_path / "c.json"),
        *("--labels", tmp_path / "calibrate/labels", "--score", "recommended", "--extractor", "mind"),
        *("--images", tmp_path / "calibrate/images"),
    )
    assert ran.exit_code == 1
    assert re.search(
        r"case_004.nii.gz': its image: Expected an image whose values vary", ran.output.replace("\n", " ")
    ), ran.output
    assert not (tmp_path / "c.json").exists()


def calibrated(tmp_path: Path, name: str, alpha: float) -> Path:
    ran = run(
        *("calibrate", tmp_path / "calibrate/maps", "--form", "channels-last", "--alpha", alpha),
        *("--labels", tmp_path / "calibrate/labels", "--out", tmp_path / name),
    )
    assert ran.exit_code == 0, ran.output
    return tmp_path / name


def test_sets_of_changed_maps_are_made_anew(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    file, out = calibrated(tmp_path, "c.json", 0.2), tmp_path / "sets"
    predict = ["predict", tmp_path / "test/maps", "--form", "channels-last", "--calibration", file, "--out", out]
    assert run(*predict).exit_code == 0
    made = {path.name: path.stat().st_mtime_ns for path in out.glob("*.nii.gz")}
    save(truth_and_map(99)[1], tmp_path / "test/maps/case_014.nii.gz")
    assert run(*predict).exit_code == 0
    changed = [name for name, at in made.items() if (out / name).stat().st_mtime_ns != at]
    assert changed == ["case_014.nii.gz"]
    found = np.asarray(nibabel.load(out / "case_014.nii.gz").dataobj)
    threshold = np.float32(Calibration.load(file).threshold[1])
    assert np.array_equal(found[..., 1] == 1, truth_and_map(99)[1][..., 1] >= threshold)


def test_sets_of_two_calibrations_never_stand_side_by_side(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    first, second = calibrated(tmp_path, "a.json", 0.2), calibrated(tmp_path, "b.json", 0.3)
    maps, out = tmp_path / "test/maps", tmp_path / "sets"
    common = ["--form", "channels-last", "--out", out]
    assert run("predict", maps, *common, "--calibration", first).exit_code == 0
    for path in sorted(maps.iterdir())[3:]:
        path.unlink()
    assert run("predict", maps, *common, "--calibration", second, "--overwrite").exit_code == 0
    assert len(list(out.glob("*.nii.gz"))) == 3

    def refused(message: str, calibration: Path) -> None:
        for command in ("evaluate", "report"):
            page = ["--out", tmp_path / "r.html"] if command == "report" else []
            ran = run(command, out, "--labels", tmp_path / "test/labels", "--calibration", calibration, *page)
            assert ran.exit_code == 1, ran.output
            assert message in ran.output.replace("\n", " ")

    refused("made with another calibration", first)
    save(np.zeros((*SHAPE, 3), np.uint8), out / "case_020.nii.gz")
    refused("knows nothing of 'case_020.nii.gz'", second)
    (out / "run.json").write_text("[]")
    refused("is not the log of monai-rwcp predict", second)


def test_what_is_refused_before_the_work(tmp_path: Path) -> None:
    write_cohort(tmp_path, "channels-last")
    ran = run(
        *("calibrate", tmp_path / "calibrate/maps", "--form", "channels-last", "--class-names", "organ,lesion"),
        *("--labels", tmp_path / "calibrate/labels", "--out", tmp_path / "c.json"),
    )
    assert ran.exit_code == 1
    assert "a name for each of the 3 channels" in ran.output
    tables = [
        false_negative_rate_table(torch.rand(3, 4, 4), torch.ones(1, 4, 4), unit=str(i), group="A") for i in range(12)
    ]
    calibrate(LossTable.join(tables), 0.2, by_group=True).save(tmp_path / "groups.json")
    maps, out = tmp_path / "test/maps", tmp_path / "sets"
    ran = run("predict", maps, "--form", "channels-last", "--calibration", tmp_path / "groups.json", "--out", out)
    assert ran.exit_code == 1
    assert "one threshold for all" in ran.output
    assert not out.exists()


def test_a_full_disk_leaves_whole_sets_only_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cohort(tmp_path, "channels-last")
    file, out = calibrated(tmp_path, "c.json", 0.2), tmp_path / "sets"
    predict = ["predict", tmp_path / "test/maps", "--form", "channels-last", "--calibration", file, "--out", out]
    written, real = [], nibabel.save

    def full(image: nibabel.Nifti1Image, path: Path) -> None:
        if len(written) == 2:
            Path(path).write_bytes(b"half a set")
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        written.append(path)
        real(image, path)

    monkeypatch.setattr(nibabel, "save", full)
    ran = run(*predict)
    assert ran.exit_code == 1
    assert "No space left on device" in ran.output
    monkeypatch.undo()
    assert sorted(path.name for path in out.iterdir()) == ["case_012.nii.gz", "case_013.nii.gz", "run.json"]
    ran = run(*predict)
    assert ran.exit_code == 0, ran.output
    assert len(list(out.glob("*.nii.gz"))) == N // 2
