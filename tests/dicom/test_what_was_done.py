"""What a segmentation object says of itself: how the scores were made, which class it is, and the whole promise."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from monai_rwcp.conformal import Calibration, ClassCalibration, Promise
from monai_rwcp.dicom import Anatomy, Segment, read_series, write_scores, write_sets
from monai_rwcp.dicom.nifti_sets import write_nifti_sets
from monai_rwcp.provenance import RecordedStep, ScoreRecord
from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore
from monai_rwcp.walk import WalkSettings
from tests.dicom.test_command import CALIBRATION, CODES, run, values
from tests.helpers.dicom_series import SHAPE

dcmread = pytest.importorskip("pydicom", reason="DICOM needs the extra dicom").dcmread

ANATOMY = {1: Anatomy("80891009", "SCT", "Heart"), 2: Anatomy("39607008", "SCT", "Lung")}
NETWORK = ScoreRecord(network="sha256:12")
WAYS = {
    "plain scores": (PlainScore(), NETWORK),
    "blurred scores": (BlurredScore(2.0), NETWORK),
    "random-walk scores": (WalkedScore(WalkSettings(k=5)), NETWORK),
    "scores of unrecorded making": (PlainScore(), ScoreRecord()),
}


def record_of(name: str) -> ScoreRecord:
    score, before = WAYS[name]
    if score.kind == "plain":
        return before
    return before.with_step(RecordedStep(score.kind, score.settings))


def sets_of(folder: Path, calibration: Calibration, tmp_path: Path) -> Any:
    series = read_series(folder)
    nibabel.save(nibabel.Nifti1Image(values(), series.volume.affine.numpy()), tmp_path / "sets.nii.gz")
    write_nifti_sets(tmp_path / "sets.nii.gz", series, calibration, ANATOMY, tmp_path / "seg.dcm")
    return dcmread(tmp_path / "seg.dcm")


@pytest.mark.parametrize("name", WAYS)
def test_how_the_scores_were_made(name: str, series_folder: Path, tmp_path: Path) -> None:
    record = record_of(name)
    found = sets_of(series_folder, replace(CALIBRATION, provenance=record), tmp_path)
    for segment in found.SegmentSequence:
        made = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert made.AlgorithmName == segment.SegmentAlgorithmName == f"monai_rwcp: conformal prediction, {name}"
        for step in record.steps:
            for setting, value in step.settings.items():
                told = value if isinstance(value, str) else json.dumps(value)
                assert f"{setting}={told}" in made.AlgorithmParameters
    assert found.SeriesDescription == f"Prediction sets of {name}"
    assert ("random" in str(found)) == ("random" in name)
    series = read_series(series_folder)
    of_score = [Segment("heart", ANATOMY[1], torch.rand(SHAPE))]
    write_scores(tmp_path / "s.dcm", series, of_score, description="d", record=record)
    found = dcmread(tmp_path / "s.dcm")
    assert found.SegmentSequence[0].SegmentAlgorithmName == f"monai_rwcp: {name}"
    assert found.SeriesDescription.lower() == name


def test_nothing_is_said_that_nobody_knows(series_folder: Path, tmp_path: Path) -> None:
    series, sets = read_series(series_folder), [Segment("heart", ANATOMY[1], torch.ones(SHAPE))]
    write_sets(tmp_path / "seg.dcm", series, sets, promise="p")
    found = str(dcmread(tmp_path / "seg.dcm"))
    assert "unrecorded" in found
    assert not any(word in found.lower() for word in ("random", "walk", "plain", "blur"))


def test_many_steps_fit(series_folder: Path, tmp_path: Path) -> None:
    record = ScoreRecord(
        steps=(RecordedStep("blur"), RecordedStep("walk"), RecordedStep("levels"), RecordedStep("blur"))
    )
    found = sets_of(series_folder, replace(CALIBRATION, provenance=record), tmp_path)
    assert found.SegmentSequence[0].SegmentAlgorithmName == "monai_rwcp: conformal prediction, scores of 4 steps"
    assert "blur, then walk, then levels, then blur" in found.DerivationDescription


def test_the_whole_promise_and_that_of_each_class(series_folder: Path, tmp_path: Path) -> None:
    found = sets_of(series_folder, CALIBRATION, tmp_path)
    assert len(CALIBRATION.promise) > 64
    assert found.ImageComments == CALIBRATION.promise
    assert found.ContentDescription == "On average at most 10 % of heart is ... (whole: Image Comments)"
    for segment, name, other in zip(found.SegmentSequence, ("heart", "lung"), ("lung", "heart"), strict=True):
        own = segment.SegmentDescription
        assert own.splitlines()[0] in CALIBRATION.promise.splitlines()
        assert own.splitlines()[0].startswith(f"On average at most 10 % of {name} is missed")
        assert f" of {other} " not in own


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (("background", "left ventricle", "myocardium"), ["left ventricle", "myocardium"]),
        (("background", "class 1", "心筋"), ["class 1", "心筋"]),
        (None, ["Heart (class 1)", "Lung (class 2)"]),
    ],
)
def test_names_of_classes(
    names: tuple[str, ...] | None, labels: list[str], series_folder: Path, tmp_path: Path
) -> None:
    found = sets_of(series_folder, replace(CALIBRATION, class_names=names), tmp_path)
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == labels


def test_a_long_meaning_is_not_cut(series_folder: Path, tmp_path: Path) -> None:
    long = Anatomy("80891009", "SCT", "h" * 60)
    series = read_series(series_folder)
    nibabel.save(nibabel.Nifti1Image(values(), series.volume.affine.numpy()), tmp_path / "sets.nii.gz")
    calibration = replace(CALIBRATION, class_names=None)
    write_nifti_sets(tmp_path / "sets.nii.gz", series, calibration, {1: long, 2: ANATOMY[2]}, tmp_path / "seg.dcm")
    labels = [segment.SegmentLabel for segment in dcmread(tmp_path / "seg.dcm").SegmentSequence]
    assert labels == ["h" * 60, "Lung (class 2)"]


def test_a_name_that_is_too_long_is_refused_and_not_cut(series_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names a segment in 64 characters, but 'h{65}' has 65"):
        sets_of(series_folder, replace(CALIBRATION, class_names=("b", "h" * 65, "lung")), tmp_path)
    assert not (tmp_path / "seg.dcm").exists()


def test_a_promise_longer_than_any_attribute_stands_with_each_class(series_folder: Path, tmp_path: Path) -> None:
    """A hundred classes of TotalSegmentator have a promise each."""
    n = 101
    calibration = Calibration(
        promised=Promise(0.1), unit_name="patient", n_channels=n, n_images=60,
        class_names=tuple(f"structure {c} of many" for c in range(n)),
        classes={c: ClassCalibration(0.25, 30, 0.05, 0.07) for c in range(1, n)},
    )  # fmt: skip
    assert len(calibration.promise) > 10240
    series = read_series(series_folder)
    sets = np.zeros((*SHAPE, n), dtype=np.uint8)
    sets[4:7, 2:5, 1:4] = 1
    nibabel.save(nibabel.Nifti1Image(sets, series.volume.affine.numpy()), tmp_path / "sets.nii.gz")
    anatomy = dict.fromkeys(range(1, n), ANATOMY[1])
    write_nifti_sets(tmp_path / "sets.nii.gz", series, calibration, anatomy, tmp_path / "seg.dcm")
    found = dcmread(tmp_path / "seg.dcm")
    assert "Segment Description" in found.ImageComments
    for c, segment in enumerate(found.SegmentSequence, start=1):
        assert segment.SegmentDescription.splitlines()[0] in calibration.promise.splitlines()
        assert f" of structure {c} of many is missed" in segment.SegmentDescription
    with pytest.raises(ValueError, match="the promise or description of 1 to 10240 characters"):
        write_sets(tmp_path / "s.dcm", series, [Segment("a", ANATOMY[1], torch.ones(SHAPE))], promise="p" * 10241)
    assert not (tmp_path / "s.dcm").exists()


def test_a_description_of_middling_length(series_folder: Path, tmp_path: Path) -> None:
    """It fits the object's comments, and not a segment's description."""
    said = "word " * 300
    sets = [Segment("heart", ANATOMY[1], torch.ones(SHAPE))]
    write_sets(tmp_path / "seg.dcm", read_series(series_folder), sets, promise=said)
    found = dcmread(tmp_path / "seg.dcm")
    assert found.ImageComments == said.strip()
    assert found.SegmentSequence[0].SegmentDescription == "See Image Comments (0020,4000) of this object."


def test_a_tumour_is_no_anatomy(series_folder: Path, tmp_path: Path) -> None:
    series = read_series(series_folder)
    nibabel.save(nibabel.Nifti1Image(values(), series.volume.affine.numpy()), tmp_path / "sets.nii.gz")
    codes = [*CODES[:2], "--anatomy", "2=108369006,SCT,Neoplasm"]
    ran = run(series_folder, tmp_path / "sets.nii.gz", tmp_path / "seg.dcm", *codes)
    assert ran.exit_code == 0, ran.output
    kinds = [
        s.SegmentedPropertyCategoryCodeSequence[0].CodeValue for s in dcmread(tmp_path / "seg.dcm").SegmentSequence
    ]
    assert kinds == ["91723000", "49755003"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy (Debian's dicom3tools) to check with")
def test_an_independent_checker_finds_no_error(series_folder: Path, tmp_path: Path) -> None:
    names = ("background", "心臓", "опухоль")
    record = record_of("random-walk scores")
    sets_of(series_folder, replace(CALIBRATION, class_names=names, provenance=record), tmp_path)
    ran = subprocess.run(["dciodvfy", str(tmp_path / "seg.dcm")], capture_output=True, text=True, check=False)
    told = (ran.stdout + ran.stderr).splitlines()
    assert "Segmentation" in told
    assert not [line for line in told if line.startswith("Error")]
