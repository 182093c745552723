"""Calibrating and predicting on NIfTI files, judged by nothing but the files that were saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import (
    Activationsd,
    Compose,
    CropForegroundd,
    DivisiblePadd,
    EnsureChannelFirstd,
    Invertd,
    LoadImaged,
    Orientationd,
    SaveImaged,
    Spacingd,
)

from monai_rwcp import (
    Calibration,
    ConformalCalibrationHandler,
    ConformalThresholdd,
    DenseFeaturesd,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    false_negative_rate_table,
)

SHAPE = (22, 9, 26)
ALPHA = 0.2


def _affine() -> np.ndarray:
    """Oblique, two axes exchanged, one flipped, and voxels of 1.2 x 3 x 0.9 mm."""
    angle = 0.2
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    axes = np.array([[0.0, 0, -1], [1, 0, 0], [0, 1, 0]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes @ np.diag([1.2, 3.0, 0.9])
    affine[:3, 3] = [30, -20, 11]
    return affine


class _Net(torch.nn.Module):
    """Class 1 is medium bright, class 2 is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Conv3d(1, 4, 2, stride=2)
        self.gain = torch.nn.Parameter(torch.tensor(2.0))
        with torch.no_grad():
            self.inner.weight.copy_(torch.linspace(-0.2, 0.3, 32).reshape(4, 1, 2, 2, 2))
            self.inner.bias.copy_(torch.tensor([0.1, -0.2, 0.3, -0.4]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.inner(x)
        return -self.gain * (x - torch.arange(1.0, 4.0).reshape(1, 3, 1, 1, 1)).abs()


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Thirteen patients: a body in air, with an organ of two parts that reaches beyond the body's crop."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(7)
    cases = []
    for i in range(13):
        image, label = np.zeros(SHAPE, dtype=np.float32), np.zeros(SHAPE, dtype=np.uint8)
        a, b, c = random.integers(4, 7), random.integers(1, 3), random.integers(6, 9)
        label[a : a + 9, b : b + 5, c : c + 10] = 1
        label[a + 3 : a + 6, b + 1 : b + 4, c + 3 : c + 7] = 2
        body = np.s_[2:19, 0:8, 4:21]
        image[body] = 1 + label[body] + random.normal(0, 0.35, label[body].shape)
        # A few true voxels in the air, which no crop around the body holds.
        label[20:22, 4, 23:25] = 1
        case = {"image": str(folder / f"p{i}.nii.gz"), "label": str(folder / f"p{i}_label.nii.gz"), "patient": f"p{i}"}
        nibabel.save(nibabel.Nifti1Image(image, _affine()), case["image"])
        nibabel.save(nibabel.Nifti1Image(label, _affine()), case["label"])
        cases.append(case)
    return cases


def _before(*moved: str) -> Compose:
    """Preprocessing of the image and of the other keys named; all are loaded."""
    return Compose(
        [
            LoadImaged(("image", "label")),
            EnsureChannelFirstd(("image", "label")),
            Orientationd(moved, axcodes="RAS", labels=None),
            Spacingd(moved, pixdim=(1.5, 1.5, 2.0), mode=["bilinear", "nearest"][: len(moved)]),
            CropForegroundd(moved, source_key="image", margin=0, allow_smaller=True),
            DivisiblePadd(moved, k=4),
        ]
    )


def _save(key: str, folder: Path, kind: type = np.float64) -> SaveImaged:
    return SaveImaged(
        key,
        output_dir=folder,
        output_postfix=key,
        output_dtype=kind,
        separate_folder=False,
        resample=False,
        print_log=False,
    )


def _run(
    net: _Net,
    cases: list[dict[str, str]],
    handlers: list[Any],
    *last: Any,
    invert: bool = True,
    moved: Any = ("image",),
) -> None:
    before = _before(*moved)
    inversion = [Invertd("pred", before, orig_keys="image", nearest_interp=False)] if invert else []
    chain = [
        Activationsd("pred", softmax=True),
        NetworkProvenanced("pred", net),
        DenseFeaturesd("image", NetworkFeatures(net, "inner")),
        RandomWalkDiffusiond("pred", k=6, beta=10.0, n_steps=2, restart=0.5, spatial_weight=4.0),
        *inversion,
        *last,
    ]
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases, before), batch_size=1),
        network=net,
        postprocessing=Compose(chain),
        val_handlers=handlers,
    ).run()


def _read(folder: Path, case: dict[str, str], postfix: str) -> tuple[np.ndarray, np.ndarray]:
    image = nibabel.load(folder / f"{case['patient']}_{postfix}.nii.gz")
    return np.moveaxis(np.asarray(image.dataobj), -1, 0), image.affine


@pytest.fixture(scope="module")
def calibrated(cohort: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the calibration of twelve patients and their saved scores."""
    folder = tmp_path_factory.mktemp("calibrated")
    handler = ConformalCalibrationHandler(alpha=ALPHA, unit_key="patient", output_path=folder / "calibration.json")
    with pytest.warns(UserWarning, match="48 of the 5016 true voxels of class 1 .* lie where its score is exactly 0"):
        _run(_Net(), cohort[:12], [handler], _save("pred", folder))
    return folder


def test_calibration_equals_a_count_on_the_saved_scores(cohort: list[dict[str, str]], calibrated: Path) -> None:
    calibration = Calibration.load(calibrated / "calibration.json")
    assert calibration.n == {1: 12, 2: 12}
    assert calibration.provenance.side == "original"
    assert calibration.provenance.steps[-1].side == "processed"
    pairs = []
    for case in cohort[:12]:
        score, affine = _read(calibrated, case, "pred")
        assert score.shape == (3, *SHAPE)
        np.testing.assert_allclose(affine, _affine(), atol=1e-4)
        pairs.append((score, np.asarray(nibabel.load(case["label"]).dataobj)))

    def total_loss(c: int, threshold: float) -> float:
        losses = []
        for score, label in pairs:
            losses.append((score[c] < threshold)[label == c].mean())
        return float(sum(losses))

    room = ALPHA * 13 - 1
    for c in (1, 2):
        threshold = calibration.threshold[c]
        assert 0.05 < threshold < 0.95
        assert total_loss(c, threshold) <= room + 1e-12
        assert total_loss(c, threshold * 1.005) > room


def test_saved_set_is_the_saved_score_at_the_threshold(
    cohort: list[dict[str, str]], calibrated: Path, tmp_path: Path
) -> None:
    new = cohort[12]
    last = [
        ConformalThresholdd("pred", calibrated / "calibration.json"),
        _save("pred", tmp_path),
        _save("pred_set", tmp_path, np.uint8),
    ]
    _run(_Net(), [new], [], *last)
    score, _ = _read(tmp_path, new, "pred")
    found, affine = _read(tmp_path, new, "pred_set")
    original = nibabel.load(new["image"])
    np.testing.assert_allclose(affine, original.affine, atol=1e-4)
    assert found.shape[1:] == original.shape
    assert found.dtype == np.uint8

    threshold = Calibration.load(calibrated / "calibration.json").threshold
    beyond = (score == 0).all(axis=0)  # what Invertd leaves outside the processed field
    assert 0.1 < beyond.mean() < 0.9
    for c in (1, 2):
        np.testing.assert_array_equal(found[c], score[c] >= threshold[c])
        assert not found[c][beyond].any()
        assert 0.004 < found[c][~beyond].mean() < 0.7
    assert not found[0].any()
    # The set lies where the organ is, in the file's own voxels.
    label = np.asarray(nibabel.load(new["label"]).dataobj)
    for c in (1, 2):
        assert found[c][label == c].mean() > 0.6
        assert found[c][label == c].mean() > 1.5 * found[c][~beyond & (label == 0)].mean()


def test_truth_beyond_the_processed_field_counts_as_missed(cohort: list[dict[str, str]], calibrated: Path) -> None:
    label = np.asarray(nibabel.load(cohort[0]["label"]).dataobj)
    score, _ = _read(calibrated, cohort[0], "pred")
    beyond = (label == 1) & (score == 0).all(axis=0)
    assert beyond.sum() == 4
    table = false_negative_rate_table(torch.as_tensor(score), torch.as_tensor(label)[None], unit="a")
    assert table.missed(1)[0, 1] == table.images["a"].true_voxels[1].at_zero == 4


def _messages(error: BaseException | None) -> str:
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__
    return "\n".join(texts)


def test_a_calibration_from_before_invertd_is_refused_after_it(cohort: list[dict[str, str]], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    handler = ConformalCalibrationHandler(alpha=ALPHA, unit_key="patient", output_path=path)
    _run(_Net(), cohort[:5], [handler], invert=False, moved=("image", "label"))
    assert handler.calibration.provenance.side == "processed"
    threshold = ConformalThresholdd("pred", path)
    _run(_Net(), cohort[12:], [], threshold, invert=False)
    with pytest.raises(RuntimeError) as caught:
        _run(_Net(), cohort[12:], [], threshold)
    assert "side is 'original', but the calibration has 'processed'" in _messages(caught.value)


def test_calibrating_through_the_threshold_takes_the_score_and_not_the_set(
    cohort: list[dict[str, str]], calibrated: Path
) -> None:
    handler = ConformalCalibrationHandler(alpha=ALPHA, unit_key="patient")
    with pytest.warns(UserWarning, match="exactly 0"):
        _run(_Net(), cohort[:12], [handler], ConformalThresholdd("pred", calibrated / "calibration.json"))
    assert handler.calibration.classes == Calibration.load(calibrated / "calibration.json").classes
