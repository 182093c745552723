"""Inner and outer sets: nested, each with its promise, and the band between them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from monai_rwcp import ConformalSandwich, ConformalSandwichd
from monai_rwcp.conformal import Calibration, LossTable, calibrate, case_loss_table, conformal_sandwich, prediction_set
from monai_rwcp.metrics import sandwich_metrics
from monai_rwcp.provenance import ScoreRecord, completed_record


def case(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes whose score half knows where they are."""
    random = np.random.default_rng(number)
    field = np.stack([ndimage.gaussian_filter(random.normal(size=(12, 12)), 1.5) * 12 for _ in range(3)])
    label = torch.tensor(field.argmax(0))[None]
    return torch.softmax(torch.tensor(field + random.normal(0, 1, field.shape)), dim=0).float(), label


def table_of(loss: str, n: int = 60) -> LossTable:
    made = completed_record(case(0)[0], ScoreRecord())
    return LossTable.join(
        case_loss_table(*case(i), loss=loss, unit=f"{i:03d}", unit_name="patient", provenance=made)  # type: ignore[arg-type]
        for i in range(n)
    )


@pytest.fixture(scope="module")
def both() -> tuple[Calibration, Calibration]:
    return calibrate(table_of("inner"), 0.05), calibrate(table_of("fnr"), 0.1)


def test_inner_sets_lie_in_outer_ones_and_both_keep_their_promise(both: tuple[Calibration, Calibration]) -> None:
    inner, outer = both
    wrong, missed = np.zeros((200, 3)), np.zeros((200, 3))
    for i in range(200):
        score, label = case(1000 + i)
        sets = conformal_sandwich(score, inner, outer)
        assert not (sets.inner & ~sets.outer.bool()).any()
        for c in (1, 2):
            truth = label[0] == c
            assert torch.equal(sets.outer, prediction_set(score, outer))
            wrong[i, c] = min(1, int((sets.inner[c].bool() & ~truth).sum()) / int(truth.sum()))
            missed[i, c] = int((truth & ~sets.outer[c].bool()).sum()) / int(truth.sum())
        possible = [sets.inner[1] + sets.inner[2] == 0, sets.outer[1] == 1, sets.outer[2] == 1]
        assert torch.equal(sets.uncertain[0] == 1, sum(p.int() for p in possible) > 1)
    for c in (1, 2):
        assert 0.01 < wrong[:, c].mean() < 0.05 + 3 * wrong[:, c].std() / math.sqrt(200) + 2 / 61
        assert 0.05 < missed[:, c].mean() < 0.1 + 3 * missed[:, c].std() / math.sqrt(200) + 2 / 61


def test_a_low_inner_threshold_is_raised_to_the_outer_one() -> None:
    # With alpha so large that the inner set alone would be larger than the outer one.
    inner, outer = calibrate(table_of("inner"), 0.9), calibrate(table_of("fnr"), 0.3)
    assert inner.threshold[1] < outer.threshold[1]
    sets = conformal_sandwich(case(5)[0], inner, outer)
    assert torch.equal(sets.inner, sets.outer)


def test_an_empty_inner_set_leaves_everything_uncertain() -> None:
    with pytest.warns(UserWarning, match="inner set is empty"):
        inner = calibrate(table_of("inner", 9), 0.05)
    sets = conformal_sandwich(
        torch.ones(3, 4, 4) / torch.tensor([1.0, 2.0, 2.0])[:, None, None], inner, calibrate(table_of("fnr"), 0.1)
    )
    assert not sets.inner.any()


def test_regions_are_uncertain_between_the_sets() -> None:
    def table(loss: str) -> LossTable:
        return LossTable.join(
            case_loss_table(s, torch.cat([y == 1, y >= 1]).long(), loss=loss, unit=f"{i}", label_mode="regions")  # type: ignore[arg-type]
            for i in range(60)
            for s, y in [(torch.stack([case(i)[0][1], case(i)[0][1:].sum(0)]).clamp(max=1), case(i)[1])]
        )

    score = torch.stack([case(3)[0][1], case(3)[0][1:].sum(0)]).clamp(max=1)
    sets = conformal_sandwich(score, calibrate(table("inner"), 0.1), calibrate(table("fnr"), 0.1))
    assert torch.equal(sets.uncertain[0] == 1, (sets.inner != sets.outer).any(dim=0))
    assert 0 < sets.uncertain.float().mean() < 1


def test_exact_zeros_are_in_neither_set(both: tuple[Calibration, Calibration]) -> None:
    score = case(4)[0]
    score[:, :2] = 0
    sets = conformal_sandwich(score, *both)
    # Nothing but the background is possible there.
    for found in sets:
        assert not found[:, :2].any()
    assert sets.outer[1:, 2:].any()


def test_sandwiches_that_do_not_fit(both: tuple[Calibration, Calibration]) -> None:
    inner, outer = both
    score = case(0)[0]
    with pytest.raises(ValueError, match="Expected `inner` calibrated for the loss"):
        conformal_sandwich(score, outer, inner)
    other = calibrate(
        LossTable.join(
            case_loss_table(*case(i), loss="fnr", unit=str(i), provenance=ScoreRecord("abc")) for i in range(20)
        ),
        0.1,
    )
    with pytest.raises(ValueError, match="same scores, but of `inner` network is not recorded, but `outer` has 'abc'"):
        conformal_sandwich(score, inner, other)
    with pytest.raises(ValueError, match="no groups"):
        conformal_sandwich(score, inner, outer, group="a")
    discovery = calibrate(table_of("false_discovery"), 0.9, "ltt", delta=0.5)
    assert discovery.threshold[1] < outer.threshold[1]
    with pytest.raises(ValueError, match="may have a larger false discovery proportion"):
        conformal_sandwich(score, discovery, calibrate(table_of("fnr"), 0.5))


def test_the_transforms(both: tuple[Calibration, Calibration], tmp_path: Path) -> None:
    inner, outer = both
    score = MetaTensor(case(7)[0], affine=torch.diag(torch.tensor([0.5, 2.0, 1.0, 1.0])))
    before = score.clone()
    expected = conformal_sandwich(score.as_tensor(), inner, outer)
    chain = ConformalSandwichd("pred", tmp_path / "inner.json", tmp_path / "outer.json")
    with pytest.raises(FileNotFoundError, match="calibration"):
        chain({"pred": score})
    inner.save(tmp_path / "inner.json")
    outer.save(tmp_path / "outer.json")
    plain = ConformalSandwich(inner, outer)(case(7)[0])
    for one, other in zip(plain, expected, strict=True):
        assert torch.equal(one, other)
    found = chain({"pred": case(7)[0]})
    assert set(found) == {"pred", "pred_inner", "pred_outer", "pred_uncertain"}
    assert torch.equal(torch.as_tensor(found["pred_inner"]), expected.inner)
    assert found["pred_outer"].dtype == torch.uint8
    assert torch.equal(score, before)
    array = ConformalSandwich(inner, outer)(case(7)[0].numpy())
    assert isinstance(array[0], np.ndarray)
    np.testing.assert_array_equal(array[2], expected.uncertain.numpy())
    with pytest.raises(ValueError, match="not made the way"):
        chain({"pred": case(7)[0], "pred_provenance": {"network": "abc"}})
    with pytest.raises(TypeError, match="Calibration or a path"):
        ConformalSandwich(3, outer)  # type: ignore[arg-type]


def test_the_band_in_mm_and_ml() -> None:
    inner, outer = torch.zeros(20, 20, 20), torch.zeros(20, 20, 20)
    inner[8:12, 8:12, 8:12], outer[6:14, 6:14, 6:14] = 1, 1
    found = sandwich_metrics(inner, outer, spacing=(1.0, 1.0, 2.0))
    assert (found.inner_size, found.outer_size) == (64, 512)
    assert found.band_volume == pytest.approx((512 - 64) * 2 / 1000)
    # Two nested boxes: from face to face 2 voxels, which is 2 mm or 4 mm; corners of the outer one are farther.
    surfaces = [m.bool().numpy() & ~ndimage.binary_erosion(m.bool().numpy()) for m in (inner, outer)]
    distances = [
        ndimage.distance_transform_edt(~one, sampling=(1.0, 1.0, 2.0))[other]
        for one, other in (surfaces, surfaces[::-1])
    ]
    assert found.band_width == pytest.approx(np.concatenate(distances).mean(), rel=1e-6)
    assert math.isnan(sandwich_metrics(inner, outer).band_volume)
    assert math.isnan(sandwich_metrics(inner * 0, outer).band_width)
    assert sandwich_metrics(inner[10], outer[10], spacing=(1, 1)).outer_size == 64
    for one, other, message in (
        (outer, inner, "inside the outer"),
        (inner[0], outer, "one 2D or 3D shape"),
        (inner * 0.5, outer, "zeros and ones"),
    ):
        with pytest.raises(ValueError, match=message):
            sandwich_metrics(one, other)
