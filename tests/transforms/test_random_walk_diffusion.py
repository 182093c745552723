"""The walk as a MONAI transform: types, meta data, the record beside the map, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate, set_track_meta
from monai.transforms import Compose, Flipd

from monai_rwcp import RandomWalkDiffusion, RandomWalkDiffusiond, recommended
from monai_rwcp.provenance import record_of
from monai_rwcp.transforms import RandomWalkDiffusionD, RandomWalkDiffusionDict
from monai_rwcp.walk import WalkSettings, diffuse_probabilities

AFFINE = torch.tensor(
    [[0.0, 1.5, 0.2, 10.0], [-2.0, 0.1, 0.0, -7.0], [0.0, 0.3, 4.0, 3.0], [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64
)


def _maps(
    shape: tuple[int, ...] = (12, 8), cells: tuple[int, ...] = (6, 4), seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.softmax(3 * torch.randn(3, *shape, generator=generator), dim=0)
    return probabilities, torch.randn(5, *cells, generator=generator)


def _walk(**settings: Any) -> RandomWalkDiffusion:
    return RandomWalkDiffusion(**{"k": 4, "n_steps": 3, "beta": 5.0, **settings})


def _walk_d(keys: Any = "pred", **settings: Any) -> RandomWalkDiffusiond:
    return RandomWalkDiffusiond(keys, **{"k": 4, "n_steps": 3, "beta": 5.0, **settings})


def _grid_affine(affine: torch.Tensor, factor: float) -> torch.Tensor:
    """Affine of cells of `factor` voxels along each axis: the first centre is that of its voxels."""
    to_image = torch.eye(4, dtype=torch.float64)
    to_image[:3, :3] *= factor
    to_image[:3, 3] = (factor - 1) / 2
    return affine @ to_image


@pytest.mark.parametrize("wrap", [np.asarray, torch.as_tensor, MetaTensor])
@pytest.mark.parametrize(("shape", "cells"), [((12, 8), (6, 4)), ((8, 6, 4), (4, 3, 4))])
@pytest.mark.parametrize("settings", [{}, {"center": True, "spatial_weight": 2.0, "restart": 0.3, "grid": "map"}])
def test_type_in_is_type_out(
    wrap: Callable[[Any], Any], shape: tuple[int, ...], cells: tuple[int, ...], settings: dict[str, Any]
) -> None:
    probabilities, features = _maps(shape, cells)
    given = wrap(probabilities.numpy().copy()), wrap(features.numpy().copy())
    walked = _walk(**settings)(*given)
    assert type(walked) is type(given[0])
    assert walked.shape == probabilities.shape
    assert str(walked.dtype).endswith("float32")
    expected = diffuse_probabilities(probabilities, features, WalkSettings(4, 5.0, 3, **settings))
    assert not torch.allclose(expected, probabilities, atol=0.05)
    np.testing.assert_array_equal(np.asarray(walked), expected.numpy())
    np.testing.assert_array_equal(np.asarray(given[0]), probabilities.numpy())
    np.testing.assert_array_equal(np.asarray(given[1]), features.numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_in_is_dtype_out(dtype: torch.dtype) -> None:
    probabilities, features = _maps()
    assert _walk()(probabilities.to(dtype), features).dtype == dtype


def test_every_setting_reaches_the_walk() -> None:
    probabilities, features = _maps((16, 16), (8, 8))
    changes = [
        {},
        {"k": 7},
        {"beta": 1.0},
        {"n_steps": 5},
        {"restart": 0.5},
        {"center": True},
        {"spatial_weight": 2.0},
        {"grid": "map"},
        {"grid": 4},
        {"keep_peak": True},
    ]
    results = [_walk(**change)(probabilities, features) for change in changes]
    for change, result in zip(changes, results, strict=True):
        settings = WalkSettings(**{"k": 4, "n_steps": 3, "beta": 5.0, **change})
        assert torch.equal(torch.as_tensor(result), diffuse_probabilities(probabilities, features, settings))
    for i, one in enumerate(results):
        assert not any(torch.equal(torch.as_tensor(one), torch.as_tensor(other)) for other in results[:i])


def test_the_spatial_term_uses_the_spacing_of_the_map() -> None:
    probabilities, features = _maps((12, 8), (12, 8))
    settings = WalkSettings(4, 5.0, 3, spatial_weight=3.0)
    expected = diffuse_probabilities(probabilities, features, settings, spacing=(0.5, 4.0))
    assert not torch.allclose(expected, diffuse_probabilities(probabilities, features, settings))
    affine = torch.diag(torch.tensor([0.5, 4.0, 1.0, 1.0], dtype=torch.float64))
    walked = _walk(spatial_weight=3.0)(MetaTensor(probabilities, affine=affine), features)
    np.testing.assert_allclose(np.asarray(walked), expected.numpy(), rtol=1e-6)


def test_meta_and_affine_are_kept_and_nothing_is_pushed() -> None:
    probabilities, features = _maps((12, 8, 4), (6, 4, 2))
    image = MetaTensor(probabilities, affine=AFFINE, meta={"filename_or_obj": "case_7.nii.gz"})
    flip = Flipd("pred", spatial_axis=0)
    item: Any = flip({"pred": image})
    item["features"] = MetaTensor(features, affine=_grid_affine(item["pred"].affine, 2))
    before = pickle.dumps((item["pred"].meta, item["pred"].applied_operations))
    walked = _walk_d()(item)["pred"]
    assert isinstance(walked, MetaTensor)
    torch.testing.assert_close(walked.affine, item["pred"].affine)
    assert walked.meta["filename_or_obj"] == "case_7.nii.gz"
    assert walked.applied_operations == item["pred"].applied_operations
    assert len(walked.applied_operations) == 1
    assert pickle.dumps((item["pred"].meta, item["pred"].applied_operations)) == before
    back = flip.inverse({"pred": walked})["pred"]
    torch.testing.assert_close(back.as_tensor(), walked.as_tensor().flip(1))


def test_without_meta_tracking_the_result_is_plain() -> None:
    probabilities, features = _maps()
    image = MetaTensor(probabilities)
    set_track_meta(False)
    try:
        walked = _walk()(image, features)
    finally:
        set_track_meta(True)
    assert type(walked) is torch.Tensor
    assert torch.equal(walked, torch.as_tensor(_walk()(probabilities, features)))


def test_result_needs_no_gradients_and_is_the_same_again() -> None:
    probabilities, features = _maps()
    walk = _walk()
    one = walk(probabilities.requires_grad_(), features)
    torch.manual_seed(1)
    assert torch.equal(torch.as_tensor(one), torch.as_tensor(walk(probabilities, features)))
    assert not torch.as_tensor(one).requires_grad


def test_array_equals_dictionary_and_the_rest_is_kept() -> None:
    probabilities, features = _maps()
    data: dict[Hashable, Any] = {"pred": probabilities, "features": features, "other": 3}
    before = dict(data)
    out = _walk_d()(data)
    assert torch.equal(out["pred"], torch.as_tensor(_walk()(probabilities, features)))
    assert out["other"] == 3
    assert out["features"] is features
    assert set(data) == set(before)
    assert all(data[key] is before[key] for key in before)
    assert torch.equal(probabilities, _maps()[0])


def test_output_keys_keep_the_map() -> None:
    probabilities, features = _maps()
    out = _walk_d(output_keys="walked")({"pred": probabilities, "features": features})
    assert out["pred"] is probabilities
    assert set(out) == {"pred", "features", "walked", "walked_provenance"}
    assert torch.equal(out["walked"], torch.as_tensor(_walk()(probabilities, features)))


def test_several_keys_with_features_of_their_own() -> None:
    (a, fa), (b, fb) = _maps(seed=1), _maps(seed=2)
    walk = _walk_d(["a", "b"], feature_keys=["fa", "fb"], output_keys=["wa", "wb"])
    out = walk({"a": a, "b": b, "fa": fa, "fb": fb})
    for key, values, features in (("wa", a, fa), ("wb", b, fb)):
        assert torch.equal(out[key], torch.as_tensor(_walk()(values, features)))
    shared = _walk_d(["a", "b"], feature_keys="fa")({"a": a, "b": b, "fa": fa})
    assert torch.equal(shared["b"], torch.as_tensor(_walk()(b, fa)))
    with pytest.raises(ValueError, match="2"):
        _walk_d(["a", "b"], feature_keys=["x", "y", "z"])
    with pytest.raises(ValueError, match="2"):
        _walk_d(["a", "b"], output_keys=["x", "y", "z"])


def test_one_output_key_for_two_maps_is_refused() -> None:
    with pytest.raises(ValueError, match="output"):
        _walk_d(["a", "b"], output_keys="walked")


def test_missing_keys() -> None:
    probabilities, features = _maps()
    data: dict[Hashable, Any] = {"pred": probabilities, "features": features}
    with pytest.raises(KeyError, match="absent"):
        _walk_d("absent")(data)
    assert set(_walk_d("absent", allow_missing_keys=True)(data)) == set(data)
    out = _walk_d(["absent", "pred"], feature_keys=["none", "features"], allow_missing_keys=True)(data)
    assert torch.equal(out["pred"], torch.as_tensor(_walk()(probabilities, features)))
    with pytest.raises(KeyError, match=r"features of 'pred' under 'dense', but there are only \['features', 'pred'\]"):
        _walk_d(feature_keys="dense")(data)


def test_the_record_of_an_item_without_any() -> None:
    probabilities, features = _maps()
    record = _walk_d(restart=0.25)({"pred": probabilities, "features": features})["pred_provenance"]
    (step,) = record.pop("steps")
    assert record == {}
    assert step == {
        "kind": "walk",
        "features": "unrecorded",
        "side": "unknown",
        "settings": {
            "k": 4,
            "beta": 5.0,
            "n_steps": 3,
            "restart": 0.25,
            "center": False,
            "spatial_weight": 0.0,
            "grid": "features",
            "neighborhood": "volume",
            "slice_axis": -1,
            "keep_peak": False,
            "keep_sure": None,
            "size_exponent": 0.0,
            "size_reference": 1.0,
        },
    }


def test_the_record_carries_what_was_there_before() -> None:
    probabilities, features = _maps((12, 8, 4), (6, 4, 2))
    first = {"network": "sha256:abc"}
    data: dict[Hashable, Any] = {
        "pred": MetaTensor(probabilities, affine=AFFINE),
        "pred_provenance": first,
        "features": features,
        "features_provenance": {"extractor": "Mine"},
    }
    out = _walk_d(output_keys="walked")(data)
    record = out["walked_provenance"]
    assert record["network"] == "sha256:abc"
    assert record["steps"][0]["features"] == {"extractor": "Mine"}
    assert record["steps"][0]["settings"]["k"] == 4
    assert record["spacing"] == pytest.approx(AFFINE[:3, :3].norm(dim=0).tolist())
    assert first == {"network": "sha256:abc"}
    assert out["pred_provenance"] is first


@pytest.mark.parametrize(("moved", "side"), [(0.0, "original"), (5.0, "processed")])
def test_the_record_says_which_side_of_invertd_the_walk_was_on(moved: float, side: str) -> None:
    probabilities, features = _maps((12, 8, 4), (6, 4, 2))
    affine = AFFINE.clone()
    affine[0, 3] += moved
    meta = {"original_affine": AFFINE.numpy(), "spatial_shape": np.array([12, 8, 4])}
    pred = MetaTensor(probabilities, affine=affine, meta={**meta, "affine": affine})
    assert _walk_d()({"pred": pred, "features": features})["pred_provenance"]["steps"][0]["side"] == side


def test_two_walks_in_a_row_do_not_hide_the_first() -> None:
    probabilities, features = _maps()
    data = {"pred": probabilities, "features": features}
    once = _walk_d()(data)
    assert once["pred_provenance"] != _walk_d()(once)["pred_provenance"]


def test_aliases_and_settings_that_unpack() -> None:
    assert RandomWalkDiffusionD is RandomWalkDiffusionDict is RandomWalkDiffusiond
    assert RandomWalkDiffusiond("pred", **recommended()).converter.score.walk == recommended()
    assert RandomWalkDiffusiond("pred").converter.score.walk == WalkSettings()


def test_pickling_in_a_chain() -> None:
    probabilities, features = _maps()
    chain = Compose([_walk_d(grid=4, center=True)])
    again = pickle.loads(pickle.dumps(chain))
    expected, got = (c({"pred": probabilities, "features": features}) for c in (chain, again))
    assert torch.equal(expected["pred"], got["pred"])
    assert expected["pred_provenance"] == got["pred_provenance"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "`k`"),
        ({"beta": -1.0}, "`beta`"),
        ({"n_steps": 1.5}, "`n_steps`"),
        ({"restart": 1.0}, "`restart`"),
        ({"center": 1}, "`center`"),
        ({"spatial_weight": float("nan")}, "`spatial_weight`"),
        ({"grid": "image"}, "`grid`"),
        ({"backend": "faiss"}, 'backend must be "auto" or "pyg"'),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _walk(**settings)
    with pytest.raises(ValueError, match=message):
        _walk_d(**settings)


def _with_nan(value: torch.Tensor) -> torch.Tensor:
    value = value.clone()
    value[0, 1, 1] = float("nan")
    return value


P, F = _maps()


@pytest.mark.parametrize(
    ("probabilities", "features", "message"),
    [
        (4 * P - 2, F, r"`probabilities` in \[0, 1\], but it ranges from .*looks like logits: put Activationsd"),
        (_with_nan(P), F, "finite values in `probabilities`"),
        (P, _with_nan(F), "finite `features`"),
        (P, torch.randn(5, 13, 4), r"no finer than the map, but got a grid of \(13, 4\) for a map of \(12, 8\)"),
        (P[None, None], F, r"without a batch dimension, but got shape \(1, 1, 3"),
        (P[None], F, r"same number of spatial axes, but got shapes \(1, 3, 12, 8\) and \(5, 6, 4\)"),
        (P.round().long(), F, "`probabilities` to be a float tensor .* got torch.int64"),
        (P, torch.randn(5, 2, 2), "`?k`? .*4"),
    ],
)
def test_bad_maps(probabilities: torch.Tensor, features: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _walk()(probabilities, features)
    with pytest.raises(ValueError, match=f"Keys 'prob' and 'dense': .*{message}"):
        _walk_d("prob", feature_keys="dense")({"prob": probabilities, "dense": features})


def test_a_batch_of_maps_and_features_is_refused() -> None:
    items = [{"pred": MetaTensor(_maps(seed=i)[0]), "features": MetaTensor(_maps(seed=i)[1])} for i in range(2)]
    batch = list_data_collate(items)
    assert batch["pred"].shape == (2, 3, 12, 8)
    with pytest.raises(ValueError, match=r"batch"):
        _walk_d()(batch)


def _moved(affine: torch.Tensor) -> torch.Tensor:
    affine = affine.clone()
    affine[1, 3] += 2
    return affine


def _larger(affine: torch.Tensor) -> torch.Tensor:
    return affine @ torch.diag(torch.tensor([1, 1, 1.5, 1], dtype=torch.float64))


@pytest.mark.parametrize("change", [_moved, _larger])
def test_features_of_another_field_of_view(change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    probabilities, features = _maps((12, 8, 4), (6, 4, 2))
    pred = MetaTensor(probabilities, affine=AFFINE)
    elsewhere = MetaTensor(features, affine=change(_grid_affine(AFFINE, 2)))
    message = "Keys 'pred' and 'features': the features cover another field of view than the map: corners"
    with pytest.raises(ValueError, match=message):
        _walk_d()({"pred": pred, "features": elsewhere})
    with pytest.raises(ValueError, match="same side of Invertd"):
        _walk()(pred, elsewhere)
    _walk()(pred, MetaTensor(features, affine=_grid_affine(AFFINE, 2)))


def test_mirrored_features_are_refused() -> None:
    # The same box in space, but the cells run the other way.
    probabilities, features = _maps((12, 8, 4), (6, 4, 2))
    there = _grid_affine(AFFINE, 2)
    mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64))
    mirror[0, 3] = 5
    with pytest.raises(ValueError, match="another field of view"):
        _walk()(MetaTensor(probabilities, affine=AFFINE), MetaTensor(features, affine=there @ mirror))


def test_features_whose_axes_are_exchanged_are_refused() -> None:
    # Two corners that face each other stay where they are.
    probabilities, features = _maps((8, 8, 4), (4, 4, 2))
    affine = torch.diag(torch.tensor([1.5, 1.5, 3, 1], dtype=torch.float64))
    there = _grid_affine(affine, 2)
    _walk()(MetaTensor(probabilities, affine=affine), MetaTensor(features, affine=there))
    with pytest.raises(ValueError, match="another field of view"):
        _walk()(MetaTensor(probabilities, affine=affine), MetaTensor(features, affine=there[:, [1, 0, 2, 3]]))


@pytest.mark.parametrize("far", [0.0, 5000.0])
def test_features_of_another_image_far_from_the_origin(far: float) -> None:
    # A tolerance that grows with the offset takes a finer grid two voxels further on for that of the map.
    probabilities, features = _maps((12, 8), (12, 8))
    affine = torch.diag(torch.tensor([0.02, 0.02, 1, 1], dtype=torch.float64))
    affine[:2, 3] = far
    there = affine.clone()
    there[0, 3] += 0.04
    _walk()(MetaTensor(probabilities, affine=affine), MetaTensor(features, affine=affine[[0, 1, 3]][:, [0, 1, 3]]))
    with pytest.raises(ValueError, match="another field of view"):
        _walk()(MetaTensor(probabilities, affine=affine), MetaTensor(features, affine=there))


def test_features_that_still_carry_the_images_affine_are_taken() -> None:
    # A network's forward pass leaves the image's affine on a coarser grid.
    probabilities, features = _maps((12, 8, 4), (6, 4, 2))
    walked = _walk()(MetaTensor(probabilities, affine=AFFINE), MetaTensor(features, affine=AFFINE))
    plain = _walk()(MetaTensor(probabilities, affine=AFFINE), features)
    assert torch.equal(torch.as_tensor(walked), torch.as_tensor(plain))


def test_what_is_sure_is_kept_of_the_networks_own_map_only() -> None:
    probabilities, features = _maps()
    data: dict[Hashable, Any] = {"pred": probabilities, "features": features}
    once = _walk_d(keep_sure=4.0)(data)
    with pytest.raises(
        ValueError, match=r"Key 'pred'.*network's own probabilities.*`keep_sure`.*changed before \(walk\)"
    ):
        _walk_d(keep_sure=4.0)(once)
    # Its own map, under its own key, is as it was.
    both = _walk_d(keep_sure=4.0, output_keys="walked")(data)
    assert torch.equal(torch.as_tensor(_walk_d(keep_sure=4.0)(both)["pred"]), torch.as_tensor(both["walked"]))


@pytest.mark.parametrize("spacing", [(1.5, 2.0), None])
def test_a_calibration_in_mm2_refuses_scores_in_voxels(spacing: tuple[float, float] | None) -> None:
    probabilities, features = _maps()
    placed = MetaTensor(probabilities, affine=torch.diag(torch.tensor([1.5, 2.0, 1.0, 1.0])))
    given = probabilities if spacing is None else placed
    of_level = record_of(_walk_d(size_exponent=0.25)({"pred": given, "features": features}), "pred")
    assert of_level.steps[0].settings["size_unit"] == ("voxels" if spacing is None else "mm2")
    other = record_of(_walk_d(size_exponent=0.25)({"pred": placed, "features": features}), "pred")
    difference = other.first_difference(of_level)
    assert (difference is None) == (spacing is not None)
