"""Dense features in a MONAI chain: types, where the grid lies, the record, and what is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor, list_data_collate, set_track_meta
from monai.transforms import Compose, Flipd, Invertd

from monai_rwcp import DenseFeatures, DenseFeaturesd, NetworkFeatures
from monai_rwcp.transforms import DenseFeaturesD, DenseFeaturesDict


class _Pooled:
    """Mean of each cell: its value is the mean of the voxels' values."""

    def __init__(self, *cells: int) -> None:
        self.cells = cells
        self.name = f"Pooled{cells}"

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        pool = F.avg_pool2d if len(self.cells) == 2 else F.avg_pool3d
        return pool(image, self.cells)


class _Given:
    name = "Given"

    def __init__(self, make: Callable[[torch.Tensor], Any]) -> None:
        self.make = make

    def __call__(self, image: torch.Tensor) -> Any:
        return self.make(image)


@pytest.mark.parametrize("wrap", [np.asarray, torch.as_tensor, MetaTensor])
@pytest.mark.parametrize("shape", [(2, 8, 12), (1, 8, 6, 4)])
def test_type_in_is_type_out(wrap: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
    values = torch.rand(shape)
    image = wrap(values.numpy())
    cells = (2, 3) if len(shape) == 3 else (2, 3, 2)
    features = DenseFeatures(_Pooled(*cells))(image)
    assert type(features) is type(image)
    np.testing.assert_allclose(np.asarray(features), _Pooled(*cells)(values).numpy(), rtol=1e-6)
    assert str(features.dtype).endswith("float32")


def test_integers_and_halves_do_not_cut_the_features() -> None:
    for image in (torch.tensor([[[0, 1], [0, 1]]]), torch.tensor([[[0, 1], [0, 1]]]).half()):
        features = DenseFeatures(_Given(lambda x: F.avg_pool2d(x.float(), 2)))(image)
        assert features.dtype == torch.float32
        assert features.item() == 0.5


def _world(affine: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """World coordinates of each voxel's centre, ``[rank, *shape]``."""
    rank = affine.shape[0] - 1
    index = torch.stack(torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in shape], indexing="ij"))
    full = torch.zeros(rank + 1, *shape, dtype=torch.float64)
    full[: len(shape)] = index
    full[-1] = 1
    return torch.einsum("ij,j...->i...", affine, full)[:rank]


def _affine(rank: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rank)
    affine = torch.eye(rank + 1, dtype=torch.float64)
    affine[:rank] += 0.3 * torch.randn(rank, rank + 1, generator=generator, dtype=torch.float64)
    affine[:rank, -1] *= 50
    return affine


@pytest.mark.parametrize(
    ("rank", "shape", "cells"),
    [(3, (8, 12, 10), (2, 3, 5)), (3, (8, 12), (4, 1)), (2, (9, 12), (3, 4)), (3, (6, 6, 3), (6, 6, 3))],
)
def test_the_affine_puts_each_cell_at_the_mean_of_its_voxels(
    rank: int, shape: tuple[int, ...], cells: tuple[int, ...]
) -> None:
    # The image holds its own world coordinates, so its pooled values are where the cells are.
    affine = _affine(rank)
    features: Any = DenseFeatures(_Pooled(*cells))(MetaTensor(_world(affine, shape), affine=affine))
    torch.testing.assert_close(
        _world(features.affine, tuple(features.shape[1:])), features.as_tensor().double(), rtol=1e-5, atol=1e-4
    )


def test_meta_is_copied_and_the_image_keeps_its_own() -> None:
    affine = torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    image = MetaTensor(torch.rand(1, 8, 8), affine=affine, meta={"filename_or_obj": "case_7.nii.gz"})
    item: Any = Flipd("image", spatial_axis=0)({"image": image})
    out = DenseFeaturesd(extractor=_Pooled(2, 2))(item)
    assert out["features"].meta["filename_or_obj"] == "case_7.nii.gz"
    assert out["features"].applied_operations == []
    assert len(out["image"].applied_operations) == 1
    torch.testing.assert_close(out["image"].affine, item["image"].affine)
    assert not torch.allclose(out["features"].affine, out["image"].affine)


def test_without_meta_tracking_the_result_is_plain() -> None:
    image = MetaTensor(torch.rand(1, 8, 8))
    set_track_meta(False)
    try:
        assert type(DenseFeatures(_Pooled(2, 2))(image)) is torch.Tensor
    finally:
        set_track_meta(True)


def test_no_gradients_and_an_extractor_that_writes_does_not_reach_the_image() -> None:
    image = torch.rand(1, 8, 8, requires_grad=True)
    features: Any = DenseFeatures(_Pooled(2, 2))(image)
    assert not features.requires_grad
    for given in (torch.rand(1, 8, 8), np.random.default_rng(0).random((1, 8, 8))):
        before = np.asarray(given).copy()
        DenseFeatures(_Given(lambda x: x.zero_()))(given)
        np.testing.assert_array_equal(np.asarray(given), before)


def test_dictionary_writes_features_and_record_and_keeps_the_rest() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2, stride=2))
    extractor = NetworkFeatures(network, "0")
    data: dict[Hashable, Any] = {"image": torch.rand(1, 8, 8), "other": 3}
    out = DenseFeaturesd("image", extractor)(data)
    assert set(data) == {"image", "other"}
    assert set(out) == {"image", "other", "features", "features_provenance"}
    assert out["features_provenance"] == {"extractor": extractor.name}
    assert type(out["features_provenance"]) is dict
    assert out["image"] is data["image"]
    torch.testing.assert_close(out["features"], network(data["image"][None])[0].detach())


def test_the_record_follows_the_weights() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2, stride=2))
    transform = DenseFeaturesd(extractor=NetworkFeatures(network, "0"))
    before = transform({"image": torch.rand(1, 8, 8)})["features_provenance"]
    network.load_state_dict({name: value + 1 for name, value in network.state_dict().items()})
    assert transform({"image": torch.rand(1, 8, 8)})["features_provenance"] != before


def test_several_keys_and_missing_ones() -> None:
    data: dict[Hashable, Any] = {"a": torch.rand(1, 8, 8), "b": torch.rand(1, 4, 4)}
    out = DenseFeaturesd(["a", "b"], _Pooled(2, 2), ["fa", "fb"])(data)
    assert out["fa"].shape == (1, 4, 4)
    assert out["fb"].shape == (1, 2, 2)
    assert {"fa_provenance", "fb_provenance"} <= set(out)
    with pytest.raises(KeyError, match="c"):
        DenseFeaturesd("c", _Pooled(2, 2))(data)
    assert set(DenseFeaturesd("c", _Pooled(2, 2), allow_missing_keys=True)(data)) == set(data)
    with pytest.raises(ValueError, match=r"output key for each of \('a', 'b'\), but got \('features', 'features'\)"):
        DenseFeaturesd(["a", "b"], _Pooled(2, 2))


def test_aliases_and_pickling_in_a_chain() -> None:
    assert DenseFeaturesD is DenseFeaturesDict is DenseFeaturesd
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2, stride=2))
    chain = pickle.loads(pickle.dumps(Compose([DenseFeaturesd(extractor=NetworkFeatures(network, "0"))])))
    assert chain({"image": torch.rand(1, 8, 8)})["features"].shape == (4, 4, 4)


def test_the_image_is_still_inverted_afterwards() -> None:
    pre = Compose([Flipd("image", spatial_axis=0)])
    image = MetaTensor(torch.rand(1, 8, 8))
    out = DenseFeaturesd(extractor=_Pooled(2, 2))(pre({"image": image.clone()}))
    out["pred"] = out["image"].clone()
    inverted = Invertd("pred", pre, orig_keys="image", nearest_interp=False)(out)["pred"]
    torch.testing.assert_close(inverted.as_tensor(), image.as_tensor())


@pytest.mark.parametrize("bad", [object(), None, "dinov3", lambda image: image])
def test_extractors_that_are_none(bad: Any) -> None:
    with pytest.raises(TypeError, match=r"extractor must be"):
        DenseFeatures(bad)
    with pytest.raises(TypeError, match=r"extractor must be"):
        DenseFeaturesd("image", bad)


def test_construction_does_not_hash_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = NetworkFeatures(torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2)), "0")
    monkeypatch.setattr("monai_rwcp.features.network.weights_hash", lambda network: pytest.fail("hashed too early"))
    DenseFeaturesd(extractor=extractor)


def _batch() -> MetaTensor:
    return list_data_collate([{"image": MetaTensor(torch.rand(1, 8, 8))} for _ in range(2)])["image"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(8, 8), r"2 or 3 spatial axes, without a batch dimension, but got shape \(8, 8\)\."),
        (torch.rand(2, 1, 8, 8, 8), r"got shape \(2, 1, 8, 8, 8\)\. A batch must be split"),
        (_batch(), r"got shape \(2, 1, 8, 8\) and affine \(2, 4, 4\)\. A batch must be split"),
        (MetaTensor(torch.rand(2, 1, 8, 8), affine=torch.eye(3)), r"\(2, 1, 8, 8\) and affine \(3, 3\)"),
        (torch.full((1, 8, 8), float("nan")), r"finite image, but in shape \(1, 8, 8\)"),
        (np.full((1, 8, 8), np.inf), r"finite image, but in shape \(1, 8, 8\)"),
    ],
)
def test_bad_images(image: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DenseFeatures(_Pooled(2, 2))(image)
    with pytest.raises(ValueError, match=f"Key 'scan': .*{message}"):
        DenseFeaturesd("scan", _Pooled(2, 2))({"scan": image})


@pytest.mark.parametrize("affine", [torch.eye(3), torch.eye(4)])
def test_a_2d_image_may_carry_either_affine(affine: torch.Tensor) -> None:
    assert DenseFeatures(_Pooled(2, 2))(MetaTensor(torch.rand(1, 8, 8), affine=affine)).shape == (1, 4, 4)


def test_an_item_of_a_batch_is_good() -> None:
    assert DenseFeatures(_Pooled(2, 2))(_batch()[0]).shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x[0], r"features \[F, \*grid\] with 2 spatial axes, but got \(8, 8\)"),
        (lambda x: (x, x), r"with 2 spatial axes, but got tuple"),
        (lambda x: x / 0, "finite features"),
    ],
)
def test_bad_features(make: Callable[[torch.Tensor], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Key 'image': Expected .*{message}"):
        DenseFeaturesd("image", _Given(make))({"image": torch.rand(1, 8, 8)})


def test_a_network_that_does_not_fit_names_the_key() -> None:
    extractor = NetworkFeatures(torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2)), "0")
    with pytest.raises(RuntimeError, match="Key 'image': .*channels"):
        DenseFeaturesd("image", extractor)({"image": torch.rand(3, 8, 8)})
