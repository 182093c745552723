"""The recommended chain on NIfTI files with a non-trivial affine, orientation and spacing, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import (
    Activationsd,
    CenterSpatialCropd,
    Compose,
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
    LossTable,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    false_negative_rate_table,
)
from monai_rwcp.conformal import calibrate

AFFINE = np.array([[-1.3, 0.12, 0.0, 40.0], [0.1, 0.9, -0.2, -25.0], [0.0, 0.15, 2.7, 7.0], [0, 0, 0, 1]])
SHAPE = (26, 34, 11)


class Net(torch.nn.Module):
    """A fixed convolution that answers to bright blobs."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.features = torch.nn.Conv3d(1, 6, 3, padding=1)
        torch.nn.init.normal_(self.features.weight, 0.04, 0.05)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = 6 * (x - 0.5) + 0.2 * self.features(x).mean(dim=1, keepdim=True)
        return torch.cat([-bright, bright], dim=1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("cohort")
    random = np.random.default_rng(0)
    cases = []
    for i in range(13):
        centre = np.array(SHAPE) / 2 + random.uniform(-4, 4, 3)
        distance = np.linalg.norm((np.indices(SHAPE).T - centre).T / np.array([6, 8, 3])[:, None, None, None], axis=0)
        label = (distance < 1).astype(np.uint8)
        image = (label + random.normal(0, 0.4, SHAPE)).astype(np.float32)
        case = {"image": str(folder / f"p{i}.nii.gz"), "label": str(folder / f"p{i}_label.nii.gz"), "patient": f"p{i}"}
        nibabel.save(nibabel.Nifti1Image(image, AFFINE), case["image"])
        nibabel.save(nibabel.Nifti1Image(label, AFFINE), case["label"])
        cases.append(case)
    return cases


def preprocessing() -> Compose:
    return Compose(
        [
            LoadImaged(("image", "label")),
            EnsureChannelFirstd(("image", "label")),
            Orientationd("image", axcodes="RAS", labels=None),
            Spacingd("image", pixdim=(1.5, 1.5, 2.5)),
            # Cut off a margin, so that part of the file lies outside the processed field.
            CenterSpatialCropd("image", roi_size=(20, 18, 10)),
            DivisiblePadd("image", k=4),
        ]
    )


def run(net: Net, cases: list, handlers: list, *last: Any, invert: bool = True, k: int = 8) -> list[dict[str, Any]]:
    before = preprocessing()
    chain = [
        Activationsd("pred", softmax=True),
        NetworkProvenanced("pred", net),
        DenseFeaturesd("image", NetworkFeatures(net, "features")),
        RandomWalkDiffusiond("pred", k=k, beta=10, n_steps=3, restart=0.3, spatial_weight=3, center=True, grid=2),
        *([Invertd("pred", before, orig_keys="image", nearest_interp=False)] if invert else []),
        *last,
    ]
    engine = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases, before), batch_size=1),
        network=net,
        postprocessing=Compose(chain),
        val_handlers=handlers,
    )
    kept: list[dict[str, Any]] = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: kept.extend(e.state.output))
    engine.run()
    return kept


def test_calibrate_then_predict(cohort: list[dict[str, str]], tmp_path: Path) -> None:
    net, path = Net(), tmp_path / "calibration.json"
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", output_path=path)
    items = run(net, cohort[:12], [handler])
    assert {tuple(item["pred"].shape) for item in items} == {(2, *SHAPE)}
    tables = [
        false_negative_rate_table(
            item["pred"].as_tensor(), torch.tensor(nibabel.load(case["label"]).get_fdata())[None], unit=case["patient"]
        )
        for item, case in zip(items, cohort, strict=False)
    ]
    assert handler.calibration.classes == calibrate(LossTable.join(tables), 0.2).classes
    assert 0.02 < handler.calibration.threshold[1] < 1

    saving = [
        ConformalThresholdd("pred", path),
        SaveImaged("pred_set", output_dir=tmp_path, output_postfix="set", output_dtype=np.uint8, separate_folder=False, print_log=False, resample=False),
    ]  # fmt: skip
    item = run(net, cohort[12:], [], *saving)[0]
    saved = nibabel.load(tmp_path / "p12_set.nii.gz")
    assert saved.shape == (*SHAPE, 2)
    np.testing.assert_allclose(saved.affine, AFFINE, atol=1e-5)
    score = item["pred"].as_tensor().numpy().astype(float)
    assert 0.05 < (score == 0).all(axis=0).mean() < 0.9
    expected = score[1] >= Calibration.load(path).threshold[1]
    np.testing.assert_array_equal(np.asarray(saved.dataobj)[..., 1], expected)
    assert not np.asarray(saved.dataobj)[..., 0].any()
    # The set of the new patient lies where the patient's organ is.
    truth = np.asarray(nibabel.load(cohort[12]["label"]).dataobj) > 0
    assert (expected & truth).sum() / truth.sum() > 0.5


@pytest.fixture(scope="module")
def calibration(cohort: list[dict[str, str]]) -> Calibration:
    handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient")
    run(Net(), cohort[:6], [handler])
    return handler.calibration


def test_scores_made_another_way_are_refused(calibration: Calibration, cohort: list[dict[str, str]]) -> None:
    def refused(field: str, net: Net, **options: Any) -> None:
        with pytest.raises(RuntimeError) as caught:
            run(net, cohort[6:7], [], ConformalThresholdd("pred", calibration), **options)
        cause: BaseException | None = caught.value
        messages = []
        while cause is not None:
            messages.append(str(cause))
            cause = cause.__cause__
        assert any("Key 'pred': the score was not made" in m and f"{field} is" in m for m in messages), messages

    changed = Net()
    with torch.no_grad():
        changed.features.bias.add_(0.01)
    refused("network", changed)
    refused("walk.k", Net(), k=9)
    refused("side", Net(), invert=False)
    run(Net(), cohort[6:7], [], ConformalThresholdd("pred", calibration))


def test_calibrating_before_invertd_asks_for_labels_of_that_side(cohort: list[dict[str, str]]) -> None:
    with pytest.raises(ValueError, match="both before, or both after Invertd"):
        run(Net(), cohort[:2], [ConformalCalibrationHandler(unit_key="patient")], invert=False)
