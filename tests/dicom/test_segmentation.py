"""Sets and scores through DICOM and back, equal to the path through NIfTI."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch

from monai_rwcp.dicom import Anatomy, Segment, read_series, write_scores, write_sets
from tests.helpers.dicom_series import SHAPE, read_back

HEART = Anatomy("80891009", "SCT", "Heart")
VENTRICLE = Anatomy("87878005", "SCT", "Left ventricle")


def blobs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Score, outer and inner set."""
    score = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
    score[..., 4] = 0
    return score, (score > 0.4).to(torch.uint8), (score > 0.8).to(torch.uint8)


def test_sets_come_back_as_they_went_through_nifti(series_folder: Path, tmp_path: Path) -> None:
    series = read_series(series_folder)
    _, outer, inner = blobs()
    path = tmp_path / "sets.dcm"
    segments = [Segment("heart, outer set", HEART, outer), Segment("heart, inner set", HEART, inner)]
    write_sets(path, series, segments, promise="On average at most 10 % of heart is missed in a new patient.")
    found = read_back(path, series)
    for segment in segments:
        nifti = tmp_path / "set.nii.gz"
        nibabel.save(nibabel.Nifti1Image(segment.values.numpy(), series.volume.affine.numpy()), nifti)
        np.testing.assert_array_equal(found[segment.label], np.asarray(nibabel.load(nifti).dataobj))
    seg = pydicom.dcmread(path)
    assert (seg.Modality, seg.SegmentationType, seg.PatientID) == ("SEG", "BINARY", "anna")
    assert seg.StudyInstanceUID == series.slices[0].StudyInstanceUID
    assert seg.FrameOfReferenceUID == series.slices[0].FrameOfReferenceUID
    first = seg.SegmentSequence[0]
    assert first.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Heart"
    assert first.SegmentAlgorithmType == "AUTOMATIC"
    assert seg.ContentDescription.startswith("On average at most 10 %")


def test_scores_come_back_to_the_nearest_step(series_folder: Path, tmp_path: Path) -> None:
    series = read_series(series_folder)
    score = blobs()[0]
    path = tmp_path / "scores.dcm"
    write_scores(path, series, [Segment("ventricle", VENTRICLE, score)], description="Walked probability")
    found = read_back(path, series)
    np.testing.assert_allclose(found["ventricle"], score.numpy(), atol=0.5 / 255 + 1e-6)
    seg = pydicom.dcmread(path)
    assert (seg.SegmentationType, seg.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")


def test_an_empty_set_beside_another_is_kept_and_nothing_alone_is_refused(series_folder: Path, tmp_path: Path) -> None:
    series = read_series(series_folder)
    _, outer, _ = blobs()
    nothing = torch.zeros_like(outer)
    write_sets(tmp_path / "s.dcm", series, [Segment("a", HEART, outer), Segment("b", HEART, nothing)], promise="none")
    assert not read_back(tmp_path / "s.dcm", series)["b"].any()
    with pytest.raises(ValueError, match="no segment holds a voxel"):
        write_sets(tmp_path / "t.dcm", series, [Segment("b", HEART, nothing)], promise="none")
    assert not (tmp_path / "t.dcm").exists()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy (Debian's dicom3tools) to check with")
@pytest.mark.parametrize("kind", ["sets", "sets, one empty", "scores"])
def test_an_independent_checker_finds_no_error(kind: str, series_folder: Path, tmp_path: Path) -> None:
    series, path = read_series(series_folder), tmp_path / "seg.dcm"
    score, outer, inner = blobs()
    if kind == "scores":
        write_scores(path, series, [Segment("ventricle", VENTRICLE, score)], description="Walked probability")
    else:
        second = torch.zeros_like(inner) if "empty" in kind else inner
        segments = [Segment("heart, outer set", HEART, outer), Segment("heart, inner set", HEART, second)]
        write_sets(path, series, segments, promise="On average at most 10 % of heart is missed in a new patient.")

    def told(file: Path) -> list[str]:
        ran = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
        return (ran.stdout + ran.stderr).splitlines()

    # It knows what it looks at, and it does find an error where there is one.
    assert "Segmentation" in told(path)
    assert not [line for line in told(path) if line.startswith("Error")]
    broken = pydicom.dcmread(path)
    del broken.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    broken.save_as(tmp_path / "broken.dcm")
    assert [line for line in told(tmp_path / "broken.dcm") if line.startswith("Error")]


@pytest.mark.parametrize(
    ("values", "label", "message"),
    [
        (torch.zeros(10, 14, 6), "heart", "but the series has"),
        (torch.full(SHAPE, 0.5), "heart", "other values than 0 and 1"),
        (torch.ones(SHAPE), "h" * 65, "1 to 64 characters"),
    ],
)
def test_bad_sets(values: torch.Tensor, label: str, message: str, series_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        write_sets(tmp_path / "s.dcm", read_series(series_folder), [Segment(label, HEART, values)], promise="none")
    assert not (tmp_path / "s.dcm").exists()


def test_scores_that_are_none(series_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leaves"):
        write_scores(
            tmp_path / "s.dcm",
            read_series(series_folder),
            [Segment("heart", HEART, torch.full(SHAPE, float("nan")))],
            description="none",
        )
