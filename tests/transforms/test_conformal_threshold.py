"""Thresholding a score with a calibration in a chain: which voxels, which types, and which scores are refused."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate, set_track_meta
from monai.transforms import Compose, Flipd

from monai_rwcp import (
    Calibration,
    ConformalThreshold,
    ConformalThresholdd,
    DenseFeaturesd,
    LossTable,
    NetworkFeatures,
    NetworkProvenanced,
    RandomWalkDiffusiond,
    false_negative_rate_table,
)
from monai_rwcp.conformal import calibrate
from monai_rwcp.provenance import ScoreRecord, completed_record, record_of
from monai_rwcp.transforms import ConformalThresholdD, ConformalThresholdDict


def _score(seed: int = 0, shape: tuple[int, ...] = (8, 6), classes: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(classes, *shape, generator=generator), dim=0)


def _calibration(
    *records: ScoreRecord, classes: int = 3, dtype: torch.dtype = torch.float32, **options: Any
) -> Calibration:
    """Calibrate on 20 random cases whose scores were made as the records say, one after the other."""
    tables = []
    for seed in range(20):
        score = _score(seed, classes=classes).to(dtype)
        label = score.float().argmax(dim=0, keepdim=True)
        record = records[seed % len(records)] if records else ScoreRecord()
        made = completed_record(score, record)
        tables.append(false_negative_rate_table(score, label, unit=str(seed), provenance=made, **options))
    return calibrate(LossTable.join(tables), alpha=0.2)


def _by_hand(score: torch.Tensor, calibration: Calibration) -> np.ndarray:
    values = score.double().numpy()
    out = np.zeros(values.shape, dtype=np.uint8)
    for c, level in calibration.lambda_hat.items():
        out[c] = values[c] >= 1 - level
    return out


@pytest.mark.parametrize("wrap", [np.asarray, torch.as_tensor, MetaTensor])
@pytest.mark.parametrize("shape", [(8, 6), (6, 4, 3)])
def test_type_in_is_type_out_as_uint8(wrap: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
    calibration = _calibration()
    values = _score(31, shape)
    score = wrap(values.numpy().copy())
    result = ConformalThreshold(calibration)(score)
    assert type(result) is type(score)
    assert str(result.dtype).endswith("uint8")
    expected = _by_hand(values, calibration)
    assert 0 < expected[1].mean() < 1
    assert not expected[0].any()
    np.testing.assert_array_equal(np.asarray(result), expected)
    np.testing.assert_array_equal(np.asarray(score), values.numpy())


def test_meta_and_affine_are_kept_and_nothing_is_pushed() -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(_score(), affine=affine, meta={"filename_or_obj": "case_7.nii.gz"})
    item: Any = Flipd("pred", spatial_axis=0)({"pred": image})
    before = pickle.dumps((item["pred"].meta, item["pred"].applied_operations))
    calibration = _calibration()
    # A flip that is to be undone: the score is before Invertd.
    before_invertd = replace(calibration, provenance=replace(calibration.provenance, side="processed"))
    out = ConformalThresholdd("pred", before_invertd)(item)
    result = out["pred_set"]
    assert isinstance(result, MetaTensor)
    torch.testing.assert_close(result.affine, item["pred"].affine)
    assert result.meta["filename_or_obj"] == "case_7.nii.gz"
    assert len(result.applied_operations) == 1
    assert result.applied_operations == item["pred"].applied_operations
    assert pickle.dumps((item["pred"].meta, item["pred"].applied_operations)) == before


def test_without_meta_tracking_the_result_is_plain() -> None:
    score = MetaTensor(_score())
    set_track_meta(False)
    try:
        result = ConformalThreshold(_calibration())(score)
    finally:
        set_track_meta(True)
    assert type(result) is torch.Tensor


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_are_compared_as_they_are(dtype: torch.dtype) -> None:
    calibration = _calibration(dtype=dtype)
    score = _score(31).to(dtype)
    np.testing.assert_array_equal(
        np.asarray(ConformalThreshold(calibration)(score)), _by_hand(score.double(), calibration)
    )


def test_a_score_at_the_threshold_is_in() -> None:
    calibration = _calibration()
    threshold = torch.tensor(calibration.threshold[1], dtype=torch.float32)
    assert float(threshold) == calibration.threshold[1]
    score = torch.full((3, 1, 2), 0.5)
    score[1, 0] = torch.stack([threshold, torch.nextafter(threshold, torch.tensor(0.0))])
    assert torch.as_tensor(ConformalThreshold(calibration)(score))[1].tolist() == [[1, 0]]


def test_exact_zeros_are_scores_like_any_other() -> None:
    calibration, score = _calibration(), _score(31)
    score[:, :2] = 0
    result = np.asarray(ConformalThreshold(calibration)(score))
    np.testing.assert_array_equal(result, _by_hand(score, calibration))
    assert not result[:, :2].any()
    assert result[1:, 2:].any()


def test_array_equals_dictionary_and_the_score_stays() -> None:
    calibration = _calibration()
    data: dict[Hashable, Any] = {"pred": _score(31), "other": 3}
    out = ConformalThresholdd("pred", calibration)(data)
    assert set(data) == {"pred", "other"}
    assert set(out) == {"pred", "other", "pred_set"}
    assert out["pred"] is data["pred"]
    assert torch.equal(out["pred"], _score(31))
    assert torch.equal(out["pred_set"], torch.as_tensor(ConformalThreshold(calibration)(data["pred"])))


def test_output_keys_several_keys_and_missing_ones() -> None:
    one, other = _calibration(), _calibration(classes=4)
    data: dict[Hashable, Any] = {"a": _score(31), "b": _score(32, classes=4)}
    out = ConformalThresholdd(["a", "b"], [one, other], output_keys=["sa", "sb"])(data)
    assert set(out) == {"a", "b", "sa", "sb"}
    np.testing.assert_array_equal(out["sa"].numpy(), _by_hand(data["a"], one))
    np.testing.assert_array_equal(out["sb"].numpy(), _by_hand(data["b"], other))
    with pytest.raises(KeyError, match="absent"):
        ConformalThresholdd("absent", one)(data)
    assert set(ConformalThresholdd("absent", one, allow_missing_keys=True)(data)) == {"a", "b"}
    # The calibrations go with their keys also when the first key is not there.
    later = ConformalThresholdd(["absent", "b"], [one, other], allow_missing_keys=True)(data)
    np.testing.assert_array_equal(later["b_set"].numpy(), _by_hand(data["b"], other))


def test_numbers_of_keys_must_fit() -> None:
    calibration = _calibration()
    with pytest.raises(ValueError, match="2"):
        ConformalThresholdd(["a", "b"], [calibration] * 3)
    with pytest.raises(ValueError, match="2"):
        ConformalThresholdd(["a", "b"], calibration, output_keys=["x", "y", "z"])
    with pytest.raises(ValueError, match=r"output_keys must differ from keys, so that no score is lost"):
        ConformalThresholdd("pred", calibration, output_keys="pred")


def test_one_output_key_for_two_scores_is_refused() -> None:
    with pytest.raises(ValueError, match="output"):
        ConformalThresholdd(["a", "b"], _calibration(), output_keys="set")


def test_aliases_and_pickling() -> None:
    assert ConformalThresholdD is ConformalThresholdDict is ConformalThresholdd
    chain = Compose([ConformalThresholdd("pred", _calibration())])
    again = pickle.loads(pickle.dumps(chain))
    assert torch.equal(again({"pred": _score(31)})["pred_set"], chain({"pred": _score(31)})["pred_set"])


def test_pickling_with_a_file_before_and_after_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    transform = ConformalThresholdd("pred", path)
    fresh = pickle.loads(pickle.dumps(transform))
    _calibration().save(path)
    expected = transform({"pred": _score(31)})["pred_set"]
    for again in (fresh, pickle.loads(pickle.dumps(transform))):
        assert torch.equal(again({"pred": _score(31)})["pred_set"], expected)


@pytest.mark.parametrize("as_type", [str, Path])
def test_file_is_read_at_call_time_and_again_when_it_changes(tmp_path: Path, as_type: Callable[[Any], Any]) -> None:
    path = tmp_path / "calibration.json"
    transform = ConformalThreshold(as_type(path))
    with pytest.raises(FileNotFoundError, match=r"no calibration at '.*calibration\.json'\. Run the evaluator"):
        transform(_score(31))
    for options in ({}, {"unit_name": "patient"}, {}):
        calibration = _calibration(**options)
        calibration.save(path)
        score = _score(31)
        np.testing.assert_array_equal(np.asarray(transform(score)), _by_hand(score, calibration))
    looser = calibrate(_table_of(_calibration_scores()), alpha=0.6)
    looser.save(path)
    np.testing.assert_array_equal(np.asarray(transform(_score(31))), _by_hand(_score(31), looser))
    assert looser.threshold[1] > calibration.threshold[1]
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no calibration at"):
        transform(_score(31))


def _calibration_scores() -> list[torch.Tensor]:
    return [_score(seed) for seed in range(20)]


def _table_of(scores: list[torch.Tensor]) -> LossTable:
    return LossTable.join(
        false_negative_rate_table(
            score, score.argmax(dim=0, keepdim=True), unit=str(i), provenance=completed_record(score, ScoreRecord())
        )
        for i, score in enumerate(scores)
    )


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calibration.json"
    _calibration().save(path)
    transform = ConformalThreshold(path)
    transform(_score(31))
    monkeypatch.setattr(Calibration, "load", lambda path: pytest.fail("read again"))
    transform(_score(31))


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    _calibration().save(path)
    text = path.read_text()
    transform = ConformalThresholdd("pred", path)
    transform({"pred": _score(31)})
    path.write_text(text[:200])
    with pytest.raises(ValueError, match=r"Key 'pred': '.*calibration\.json' is damaged: it is not JSON"):
        transform({"pred": _score(31)})
    path.write_text(text.replace('"alpha": 0.2', '"alpha": 0.3'))
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=r"Key 'pred': .* was changed after it was written"):
        transform({"pred": _score(31)})


@pytest.mark.parametrize("bad", [None, 0.5, {1: 0.5}])
def test_bad_calibrations(bad: Any) -> None:
    with pytest.raises(TypeError, match=f"calibration must be a Calibration or a path but is {type(bad).__name__}"):
        ConformalThreshold(bad)


# --- which scores a calibration refuses ---------------------------------------------------------------------------

LAYER = {"0": 8, "2": 4}


def _network(seed: int = 0) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 8, 1), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 2, stride=2))


def _made(**changes: Any) -> dict[Hashable, Any]:
    """One item after a chain of network record, features and walk, of which `changes` change one part."""
    chain = Compose(
        [
            NetworkProvenanced("pred", changes.get("network", _network())),
            DenseFeaturesd(extractor=changes.get("extractor", NetworkFeatures(_network(), "0"))),
            RandomWalkDiffusiond(
                "pred",
                k=changes.get("k", 4),
                beta=changes.get("beta", 5.0),
                n_steps=changes.get("n_steps", 2),
                center=changes.get("center", False),
            ),
        ]
    )
    seed = changes.get("seed", 0)
    score = _score(seed).to(changes.get("dtype", torch.float32))
    affine = torch.diag(torch.tensor([*changes.get("size", (1.0, 1.0)), 1.0, 1.0], dtype=torch.float64))
    original = affine.clone()
    original[0, 3] = changes.get("shift", 0.0)
    meta = {"original_affine": original.numpy(), "spatial_shape": np.array([8, 6, 1])}
    pred = MetaTensor(score, affine=affine, meta=meta)
    image = MetaTensor(torch.rand(1, 8, 6, generator=torch.Generator().manual_seed(seed)), affine=affine)
    return dict(chain({"pred": pred, "image": image}))


def _calibrated(*changes: Mapping[str, Any]) -> Calibration:
    tables = []
    for seed in range(10):
        item = _made(**{**(changes[seed % len(changes)] if changes else {}), "seed": seed})
        score = item["pred"].as_tensor()
        label = score.float().argmax(dim=0, keepdim=True)
        made = completed_record(item["pred"], record_of(item, "pred"))
        tables.append(false_negative_rate_table(score, label, unit=str(seed), provenance=made))
    return calibrate(LossTable.join(tables), alpha=0.2)


@pytest.fixture(scope="module")
def calibrated() -> Calibration:
    return _calibrated()


def test_a_score_made_the_same_way_is_taken(calibrated: Calibration, tmp_path: Path) -> None:
    item = _made(seed=40)
    calibrated.save(tmp_path / "c.json")
    for calibration in (calibrated, tmp_path / "c.json"):
        result = ConformalThresholdd("pred", calibration)(item)["pred_set"]
        np.testing.assert_array_equal(result.numpy(), _by_hand(item["pred"].as_tensor(), calibrated))


@pytest.mark.parametrize(
    ("changes", "field", "got"),
    [
        ({"k": 5}, "walk.k", "5"),
        ({"beta": 6.0}, "walk.beta", "6.0"),
        ({"n_steps": 3}, "walk.n_steps", "3"),
        ({"center": True}, "walk.center", "True"),
        ({"extractor": NetworkFeatures(_network(), "2")}, "walk.features.extractor", "'NetworkFeatures"),
        ({"extractor": NetworkFeatures(_network(9), "0")}, "walk.features.extractor", "'NetworkFeatures"),
        ({"network": _network(9)}, "network", "'sha256:"),
        ({"shift": 3.0}, "walk.side", "'processed'"),
        ({"dtype": torch.float64}, "dtype", "'float64'"),
        ({"size": (1.0, 2.0)}, "spacing", r"\[1.0, 2.0\]"),
    ],
)
def test_a_score_made_another_way_is_refused(
    calibrated: Calibration, changes: dict[str, Any], field: str, got: str
) -> None:
    message = rf"Key 'pred': the score was not made the way the calibrated ones were: {field} is {got}"
    with pytest.raises(ValueError, match=message):
        ConformalThresholdd("pred", calibrated)(_made(**changes))


@pytest.mark.filterwarnings("ignore:Only 0 calibration units")
def test_side_is_compared_also_without_a_record() -> None:
    original, processed = _made()["pred"], _made(shift=3.0)["pred"]
    made = completed_record(processed, ScoreRecord())
    table = LossTable.join(
        false_negative_rate_table(processed.as_tensor(), torch.ones(1, 8, 6), unit=str(i), provenance=made)
        for i in range(10)
    )
    calibration = calibrate(table, alpha=0.2)
    ConformalThreshold(calibration)(processed)
    with pytest.raises(ValueError, match="side is 'original', but the calibration has 'processed'"):
        ConformalThreshold(calibration)(original)


def test_records_must_be_on_both_sides_or_on_neither(calibrated: Calibration) -> None:
    item = _made()
    del item["pred_provenance"]
    with pytest.raises(ValueError, match=r"the score was not made the way .*(network|steps) is"):
        ConformalThresholdd("pred", calibrated)(item)
    with pytest.raises(ValueError, match=r"(network|steps) is .*, but the calibration has none"):
        ConformalThresholdd("pred", _calibration())(_made())


def test_spacing_may_vary_when_it_did_at_calibration() -> None:
    calibration = _calibrated({"size": (1.0, 1.0)}, {"size": (1.0, 2.0)})
    assert calibration.provenance.spacing == "varies"
    ConformalThresholdd("pred", calibration)(_made(size=(0.5, 3.0)))
    with pytest.raises(ValueError, match="walk.k is 5"):
        ConformalThresholdd("pred", calibration)(_made(size=(0.5, 3.0), k=5))


def test_rounded_spacing_is_no_other_spacing(calibrated: Calibration) -> None:
    ConformalThresholdd("pred", calibrated)(_made(size=(1.0, 1.0004)))


def test_other_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"score of 3 channels, as calibrated, but got 4 channels .*other classes"):
        ConformalThreshold(_calibration())(_score(classes=4))


def _with_nan(score: torch.Tensor) -> torch.Tensor:
    score = score.clone()
    score[1, 2, 2] = float("nan")
    return score


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (4 * _score() - 2, r"in \[0, 1\], but it ranges from .*looks like logits: put Activationsd"),
        (_with_nan(_score()), "finite values"),
        (_score()[None, None], r"one item \[channels, \*spatial\] .* got shape \(1, 1, 3, 8, 6\)\. A batch must be"),
        (_score()[0], r"got shape \(8, 6\)"),
    ],
)
def test_what_is_no_score(score: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ConformalThreshold(_calibration())(score)
    with pytest.raises(ValueError, match=f"Key 'prob': .*{message}"):
        ConformalThresholdd("prob", _calibration())({"prob": score})


def test_a_mask_is_refused() -> None:
    record = ScoreRecord(dtype="uint8", side="unknown")
    calibration = copy.copy(_calibration())
    object.__setattr__(calibration, "provenance", record)
    with pytest.raises(ValueError, match=r"dtype is torch.uint8, which looks like a mask"):
        ConformalThreshold(calibration)(_score().round().to(torch.uint8))


def test_a_batch_is_refused_also_where_the_number_of_cases_is_that_of_the_classes() -> None:
    batch = list_data_collate([{"pred": MetaTensor(_score(i))} for i in range(3)])["pred"]
    assert batch.shape == (3, 3, 8, 6)
    with pytest.raises(ValueError, match="batch"):
        ConformalThreshold(_calibration())(batch)
