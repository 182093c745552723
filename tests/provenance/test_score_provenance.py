"""The record of how a score was made: what is read from the score, and what the network adds."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, DivisiblePadd, Flipd, Spacingd

from monai_rwcp import NetworkProvenanced
from monai_rwcp.provenance import RecordedStep, ScoreRecord, completed_record, provenance_key, record_of, weights_hash
from monai_rwcp.transforms import NetworkProvenanceD, NetworkProvenanceDict

AFFINE = torch.tensor(
    [[0.0, 1.5, 0.0, 10.0], [-2.0, 0.0, 0.0, -7.0], [0.0, 0.0, 4.0, 3.0], [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64
)

FLIP = Flipd("s", 0)
# Changes nothing in a map whose size is even already.
PAD = DivisiblePadd("s", 2)


def _loaded(shape: tuple[int, ...] = (8, 6, 4)) -> MetaTensor:
    """A map that lies on the grid of the file it was loaded from."""
    meta = {"original_affine": AFFINE.numpy().copy(), "spatial_shape": np.array(shape[:3])}
    return MetaTensor(torch.rand(2, *shape), affine=AFFINE, meta=meta)


def _network() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))


def test_key_lies_beside_the_map() -> None:
    assert provenance_key("pred") == "pred_provenance"
    assert provenance_key(3) == "3_provenance"


@pytest.mark.parametrize(
    ("score", "dtype"),
    [
        (torch.rand(2, 4, 4), "float32"),
        (torch.rand(2, 4, 4).half(), "float16"),
        (np.zeros((2, 4, 4)), "float64"),
        (np.zeros((2, 4, 4), dtype=np.float32), "float32"),
        (MetaTensor(torch.rand(2, 4, 4)), "float32"),
    ],
)
def test_dtype_is_read_and_no_record_is_said(score: Any, dtype: str) -> None:
    assert completed_record(score, ScoreRecord()) == ScoreRecord(dtype=dtype, side="unknown")


def test_a_record_is_completed_and_left_alone() -> None:
    item = {"pred": _loaded(), "pred_provenance": {"network": "abc", "steps": [{"kind": "walk", "settings": {"k": 5}}]}}
    before = copy.deepcopy(item["pred_provenance"])
    steps = (RecordedStep("walk", {"k": 5}),)
    made = completed_record(item["pred"], record_of(item, "pred"))
    assert made == ScoreRecord("abc", steps=steps, dtype="float32", side="original")
    assert item["pred_provenance"] == before
    assert record_of(item, "other") == ScoreRecord()
    with pytest.raises(ValueError, match="Key 'pred_provenance': Expected the record of a score"):
        record_of({"pred_provenance": {"walk": 5}}, "pred")


def _moved(score: MetaTensor) -> MetaTensor:
    affine = score.affine.clone()
    affine[2, 3] += 1
    score.affine = affine
    return score


def _cropped(score: MetaTensor) -> MetaTensor:
    return score[:, :7]


@pytest.mark.parametrize(
    ("change", "side"),
    [
        (lambda score: score, "original"),
        (_moved, "processed"),
        (_cropped, "processed"),
        (lambda score: FLIP({"s": score})["s"], "processed"),
        (lambda score: Spacingd("s", (2, 2, 2))({"s": score})["s"], "processed"),
        (lambda score: FLIP.inverse(FLIP({"s": score}))["s"], "original"),
        (lambda score: PAD({"s": score})["s"], "processed"),
        (lambda score: PAD.inverse(PAD({"s": score}))["s"], "original"),
        (lambda score: PAD({"s": MetaTensor(score.as_tensor(), affine=AFFINE)})["s"], "processed"),
        (lambda score: score.as_tensor(), "unknown"),
        (lambda score: MetaTensor(score.as_tensor(), affine=AFFINE), "unknown"),
    ],
)
def test_side_is_read_from_affine_and_shape(change: Callable[[MetaTensor], Any], side: str) -> None:
    assert completed_record(change(_loaded()), ScoreRecord()).side == side


def test_side_of_a_slice_with_an_affine_of_a_volume() -> None:
    score = _loaded((8, 6))
    assert completed_record(score, ScoreRecord()).side == "original"
    affine = score.affine.clone()
    affine[0, 1] = 2
    score.affine = affine
    assert completed_record(score, ScoreRecord()).side == "processed"


@pytest.mark.parametrize(("voxels", "side"), [(0.01, "original"), (1, "processed")])
def test_the_side_is_told_in_voxels_however_far_the_origin_is(voxels: float, side: str) -> None:
    affine = np.diag([0.05, 0.05, 0.05, 1.0])
    affine[:3, 3] = 4000
    meta = {"original_affine": affine.copy(), "spatial_shape": np.array((8, 6, 4))}
    affine[0, 3] += 0.05 * voxels
    score = MetaTensor(torch.rand(2, 8, 6, 4), affine=torch.tensor(affine), meta=meta)
    assert completed_record(score, ScoreRecord()).side == side


def test_rounding_of_a_header_is_no_other_side() -> None:
    score = _loaded()
    score.affine = (score.affine * (1 + 1e-6)).float().double()
    assert completed_record(score, ScoreRecord()).side == "original"


@pytest.mark.parametrize("wrap", [np.asarray, torch.as_tensor, MetaTensor])
def test_network_is_written_and_the_map_left_alone(wrap: Callable[[Any], Any]) -> None:
    network = _network()
    data: dict[Hashable, Any] = {"pred": wrap(torch.rand(2, 4, 4).numpy()), "other": 1}
    values = np.asarray(data["pred"]).copy()
    out = NetworkProvenanced("pred", network)(data)
    assert set(data) == {"pred", "other"}
    assert out["pred"] is data["pred"]
    np.testing.assert_array_equal(np.asarray(out["pred"]), values)
    expected: dict[str, Any] = {"network": weights_hash(network)}
    if wrap is MetaTensor:
        expected["spacing"] = [1.0, 1.0]
        assert out["pred"].applied_operations == []
    assert out["pred_provenance"] == expected


def test_spacing_follows_the_axes_of_the_map() -> None:
    record = NetworkProvenanced("pred", _network())({"pred": _loaded()})["pred_provenance"]
    assert record["spacing"] == [2.0, 1.5, 4.0]
    assert all(type(size) is float for size in record["spacing"])


def test_weights_are_read_at_call_time() -> None:
    network = _network()
    transform = NetworkProvenanced("pred", network)
    before = transform({"pred": torch.rand(2, 4, 4)})["pred_provenance"]["network"]
    network.load_state_dict({name: value + 1 for name, value in network.state_dict().items()})
    after = transform({"pred": torch.rand(2, 4, 4)})["pred_provenance"]["network"]
    assert (before, after) == (before, weights_hash(network))
    assert before != after


def test_an_earlier_record_is_begun_anew() -> None:
    data = {"pred": torch.rand(2, 4, 4), "pred_provenance": ScoreRecord(steps=(RecordedStep("walk"),)).to_json()}
    assert set(NetworkProvenanced("pred", _network())(data)["pred_provenance"]) == {"network"}


def test_several_and_missing_keys() -> None:
    data: dict[Hashable, Any] = {"a": torch.rand(2, 4, 4), "b": torch.rand(2, 4, 4)}
    out = NetworkProvenanced(["a", "b"], _network())(data)
    assert out["a_provenance"]["network"] == out["b_provenance"]["network"]
    assert out["a_provenance"] is not out["b_provenance"]
    with pytest.raises(KeyError, match="absent"):
        NetworkProvenanced("absent", _network())(data)
    assert set(NetworkProvenanced("absent", _network(), allow_missing_keys=True)(data)) == {"a", "b"}


def test_aliases_pickling_and_bad_networks() -> None:
    assert NetworkProvenanceD is NetworkProvenanceDict is NetworkProvenanced
    network = _network()
    chain = pickle.loads(pickle.dumps(Compose([NetworkProvenanced("pred", network)])))
    record = chain({"pred": torch.rand(2, 4, 4)})["pred_provenance"]
    assert record == {"network": weights_hash(copy.deepcopy(network))}
    with pytest.raises(TypeError, match=r"network must be a torch.nn.Module but is str"):
        NetworkProvenanced("pred", "unet")  # type: ignore[arg-type]
