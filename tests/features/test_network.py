"""Activations of named layers against the same sub-network run by hand."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.networks.nets import UNet

from monai_rwcp.features import FeatureExtractor, NetworkFeatures
from monai_rwcp.provenance import weights_hash


def _network(dimensions: int = 2) -> Any:
    torch.manual_seed(5)
    convolution = torch.nn.Conv2d if dimensions == 2 else torch.nn.Conv3d
    norm = torch.nn.BatchNorm2d if dimensions == 2 else torch.nn.BatchNorm3d
    network = torch.nn.Sequential(
        convolution(1, 4, 3, padding=1), norm(4), torch.nn.Dropout(0.5), convolution(4, 6, 2, stride=2), torch.nn.ReLU()
    )
    network(torch.rand(2, 1, *([8] * dimensions)))  # statistics other than the first ones
    return network


class _Twisted(torch.nn.Module):
    """Two maps of which each is the finer one along one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.tall = torch.nn.Conv2d(1, 3, (1, 2), stride=(1, 2))
        self.wide = torch.nn.Conv2d(1, 2, (4, 1), stride=(4, 1))
        self.idle = torch.nn.Conv2d(1, 1, 1)
        self.flat = torch.nn.Linear(8, 2)
        self.both = torch.nn.GRU(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.flat(x.flatten(2).squeeze(0)[..., :8])
        self.both(x[0, ..., :8])
        return self.tall(x).mean() + self.wide(x).mean()


def _hooks(network: torch.nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_one_layer_is_the_sub_network_by_hand(dimensions: int, layer: int) -> None:
    network = _network(dimensions)
    image = torch.rand(1, *(8, 12, 6)[:dimensions])
    by_hand = copy.deepcopy(network).eval()
    expected = image[None]
    for part in by_hand[: layer + 1]:
        expected = part(expected)
    features = NetworkFeatures(network, str(layer))(image)
    torch.testing.assert_close(features, expected[0].detach())
    assert not features.requires_grad


@pytest.mark.parametrize("dimensions", [2, 3])
def test_several_layers_are_normalised_and_joined_on_the_finest_grid(dimensions: int) -> None:
    network = _network(dimensions)
    image = torch.rand(1, *(8, 12, 6)[:dimensions])
    coarse, fine = (NetworkFeatures(network, layer)(image) for layer in ("3", "1"))
    features = NetworkFeatures(network, ["3", "1"])(image)
    assert features.shape == (10, *image.shape[1:])
    unit = [value / value.norm(dim=0, keepdim=True) for value in (coarse, fine)]
    mode = "bilinear" if dimensions == 2 else "trilinear"
    up = F.interpolate(unit[0][None], image.shape[1:], mode=mode, align_corners=False)[0]
    torch.testing.assert_close(features, torch.cat([up, unit[1]]))


def test_an_axis_that_is_finer_than_the_finest_grid_is_averaged() -> None:
    network = _Twisted().eval()
    image = torch.rand(1, 8, 16)
    features = NetworkFeatures(network, ("tall", "wide"))(image)
    tall, wide = network.tall(image[None]).detach(), network.wide(image[None]).detach()
    wide = (wide / wide.norm(dim=1, keepdim=True)).reshape(1, 2, 2, 8, 2).mean(dim=-1)  # columns 16 to 8
    wide = F.interpolate(wide, (8, 8), mode="bilinear", align_corners=False)  # rows 2 to 8
    assert tall.shape[2:] == (8, 8)
    torch.testing.assert_close(features, torch.cat([tall / tall.norm(dim=1, keepdim=True), wide], dim=1)[0])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_monai_network_serves(dimensions: int) -> None:
    network = UNet(dimensions, 1, 3, channels=(4, 8), strides=(2,), num_res_units=1)
    layer = next(name for name, part in network.named_modules() if name.startswith("model.1.submodule"))
    features = NetworkFeatures(network, layer)(torch.rand(1, *([16] * dimensions)))
    assert features.shape == (8, *([8] * dimensions))
    assert features.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_result_is_float32_whatever_the_network_computes_in(dtype: torch.dtype) -> None:
    network = _network().to(dtype)
    features = NetworkFeatures(network, "0")(torch.rand(1, 8, 8))
    assert features.dtype == torch.float32
    assert next(network.parameters()).dtype == dtype


def test_a_later_layer_in_place_does_not_reach_the_features() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 1), torch.nn.ReLU(inplace=True))
    assert NetworkFeatures(network, "0")(torch.randn(1, 8, 8)).min() < 0


@pytest.mark.parametrize("wrap", [torch.Tensor, MetaTensor])
def test_the_image_is_left_alone_and_the_result_is_plain(wrap: type) -> None:
    network = torch.nn.Sequential(torch.nn.ReLU(inplace=True), torch.nn.Conv2d(1, 2, 1))
    image = wrap(torch.randn(1, 8, 8))
    before = torch.tensor(image.tolist())
    features = NetworkFeatures(network, "1")(image)
    assert type(features) is torch.Tensor
    assert torch.equal(torch.tensor(image.tolist()), before)


def test_modes_are_put_back_one_by_one_and_hooks_are_gone() -> None:
    network = _network().train()
    network[1].eval()
    before = copy.deepcopy(network.state_dict())
    kept = network[0].register_forward_hook(lambda *_: None)
    modes = [module.training for module in network.modules()]
    NetworkFeatures(network, ["0", "3"])(torch.rand(1, 8, 8))
    assert [module.training for module in network.modules()] == modes
    assert _hooks(network) == 1
    kept.remove()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_modes_are_put_back_and_hooks_are_gone_after_an_error() -> None:
    network = _network().train()
    network[2].eval()
    modes = [module.training for module in network.modules()]
    with pytest.raises(RuntimeError, match="channels"):
        NetworkFeatures(network, ["0", "3"])(torch.rand(3, 8, 8))
    assert [module.training for module in network.modules()] == modes
    assert _hooks(network) == 0


def test_pickling() -> None:
    features = NetworkFeatures(_network(), ["0", "3"])
    image = torch.rand(1, 8, 8)
    again = pickle.loads(pickle.dumps(features))
    assert torch.equal(again(image), features(image))
    assert again.name == features.name


def test_name_says_class_layers_and_weights_as_they_are_now() -> None:
    network = _network()
    features = NetworkFeatures(network, ("0", "3"))
    assert isinstance(features, FeatureExtractor)
    assert features.name == f"NetworkFeatures(Sequential, 0+3, {weights_hash(network)})"
    before = features.name
    network.load_state_dict({name: value * 2 for name, value in network.state_dict().items()})
    assert features.name != before


def test_unknown_layer_lists_near_names() -> None:
    with pytest.raises(ValueError, match=r"UNet has no layer 'modle.1'. Near names: .*model\.1") as caught:
        NetworkFeatures(UNet(2, 1, 2, channels=(4, 8), strides=(2,)), "modle.1")
    assert "named_modules" in str(caught.value)


def test_bad_construction() -> None:
    with pytest.raises(ValueError, match="at least one layer name"):
        NetworkFeatures(_network(), [])
    with pytest.raises(TypeError, match=r"network must be a torch.nn.Module but is function"):
        NetworkFeatures(_hooks, "0")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("flat", r"'flat' to give a map \[1, features, \*grid\] with 2 spatial axes, but it gave \(1, 2\)"),
        ("both", r"'both' to give a map .* but it gave tuple"),
        ("idle", r"'idle' to run for this image, but it did not"),
    ],
)
def test_layers_that_give_no_map(layer: str, message: str) -> None:
    network = _Twisted()
    with pytest.raises(ValueError, match=message):
        NetworkFeatures(network, layer)(torch.rand(1, 4, 8))
    assert _hooks(network) == 0
    assert network.training


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_image_that_is_not_finite(bad: float) -> None:
    image = torch.rand(1, 8, 8)
    image[0, 3, 3] = bad
    with pytest.raises(ValueError, match=r"finite image, but in shape \(1, 8, 8\)"):
        NetworkFeatures(_network(), "0")(image)


def test_activations_that_are_not_finite() -> None:
    network = _network()
    with torch.no_grad():
        network[0].bias[2] = float("nan")
    with pytest.raises(ValueError, match=r"finite activations from layer '0', but in shape \(1, 4, 8, 8\)"):
        NetworkFeatures(network, "0")(torch.rand(1, 8, 8))


class _Slow(torch.nn.Module):
    """Long enough for another thread to come in between, and it stumbles over images of zeros in one corner."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x[0, 0, 0, 0] == 0:
            raise RuntimeError("stumbled")
        x = self.first(x)
        time.sleep(0.005)
        return self.norm(x)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("sources", [1, 2])
def test_threads_get_the_features_of_their_own_image(training: bool, sources: int) -> None:
    torch.manual_seed(0)
    network = _Slow().train(training)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    extractors = [NetworkFeatures(network, layer) for layer in ("first", "norm")[:sources]]
    images = [torch.rand(1, 8, 8) * (i + 1) / 20 + 0.01 for i in range(24)]
    alone = [extractors[i % sources](image) for i, image in enumerate(images)]
    images[5], images[6] = images[5].clone(), images[6].clone()
    images[5][0, 0, 0] = images[6][0, 0, 0] = 0

    def features(i: int) -> torch.Tensor | str:
        try:
            return extractors[i % sources](images[i])
        except RuntimeError as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(features, range(len(images))))
    for i, (one, expected) in enumerate(zip(found, alone, strict=True)):
        if i in (5, 6):
            assert one == "stumbled"
        else:
            assert isinstance(one, torch.Tensor)
            assert torch.equal(one, expected), i
    assert [module.training for module in network.modules()] == [training] * 3
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


class _Merging(torch.nn.Module):
    """Its weights are others in evaluation, as those of adapters that are merged for it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.merged = torch.nn.Conv2d(1, 2, 1), False

    def train(self, mode: bool = True) -> _Merging:
        super().train(mode)
        if self.merged is mode:
            self.layer.weight.data *= 0.5 if mode else 2
            self.merged = not mode
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layer(image)
        return found


@pytest.mark.parametrize("training", [False, True])
def test_weights_that_are_merged_for_evaluation_are_as_before(training: bool) -> None:
    network = torch.nn.Sequential(_Merging(), torch.nn.Conv2d(2, 2, 1)).train(training)
    weights, image = weights_hash(network), torch.rand(1, 8, 8)
    found = NetworkFeatures(network, "0.layer")(image)
    assert (weights_hash(network), network[0].merged) == (weights, not training)
    assert [module.training for module in network.modules()] == [training] * 4
    with torch.no_grad():
        assert torch.equal(found, network.eval()[0](image[None])[0])


class _Meeting(torch.nn.Module):
    """In the middle of its pass, another thread does something and has some time for it."""

    def __init__(self, other: Any) -> None:
        super().__init__()
        self.first, self.norm, self.last = torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 2, 1)
        self.other, self.met = other, []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.first(image)
        if self.other is not None:
            other, self.other = self.other, None
            self.met.append(threading.Thread(target=other, args=(self,)))
            self.met[0].start()
            self.met[0].join(0.2)
        return self.last(self.norm(found))


def _left_training(network: Any) -> None:
    """What an evaluator of MONAI does at the end of an iteration that it began with a network in training mode."""
    network.train()


def _forward(network: Any) -> None:
    with torch.no_grad():
        network(torch.rand(1, 1, 8, 8))


@pytest.mark.parametrize("layers", ["first", "norm", "last"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("other", [_left_training, _forward])
def test_what_others_do_with_the_network_meanwhile(other: Any, training: bool, layers: str) -> None:
    """Data are often made in threads while an evaluator takes the same network through images."""
    torch.manual_seed(3)
    network = _Meeting(None).train(training)
    extractor, image = NetworkFeatures(network, layers), torch.rand(1, 8, 8)
    alone, weights = extractor(image), weights_hash(network)
    network.other = other
    found = extractor(image)
    network.met[0].join(10)
    assert torch.equal(found, alone)
    assert weights_hash(network) == weights
    expected = training or other is _left_training
    assert [module.training for module in network.modules()] == [expected] * 4
    assert "train" not in vars(network)


@pytest.mark.skipif(
    not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork, which macOS's own libraries do not survive"
)
def test_a_process_forked_in_the_middle_of_a_pass_does_not_wait_for_it() -> None:
    extractor, begun, go_on = NetworkFeatures(_Slow(), "first"), threading.Event(), threading.Event()

    def pause(*_: object) -> None:
        begun.set()
        go_on.wait(60)

    handle = extractor.network.register_forward_pre_hook(pause)
    other = threading.Thread(target=extractor, args=(torch.rand(1, 8, 8) + 0.1,))
    other.start()
    assert begun.wait(60)
    child = multiprocessing.get_context("fork").Process(target=_pass_in_a_child)
    child.start()
    child.join(60)
    code = child.exitcode
    child.kill()
    go_on.set()
    other.join()
    handle.remove()
    assert code == 0


def _pass_in_a_child() -> None:
    torch.set_num_threads(1)
    NetworkFeatures(_Slow(), "first")(torch.rand(1, 8, 8) + 0.1)
