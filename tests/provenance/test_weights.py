"""The hash of a network's weights: it follows the values and nothing else."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.swa_utils import AveragedModel

from monai_rwcp import NetworkFeatures
from monai_rwcp.provenance import weights_hash


def _network() -> Any:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1))


def _compiled(network: Any) -> Any:
    return torch.compile(network, backend="eager")


def _a_part_compiled(network: Any) -> Any:
    network[1] = _compiled(network[1])
    return network


@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.DataParallel,
        AveragedModel,
        _compiled,
        _a_part_compiled,
        lambda network: torch.nn.DataParallel(_compiled(network)),
        lambda network: _compiled(torch.nn.DataParallel(network)),
        lambda network: AveragedModel(_compiled(network)),
    ],
)
def test_what_wraps_a_network_does_not_count(wrap: Callable[[Any], Any]) -> None:
    assert weights_hash(wrap(_network())) == weights_hash(_network())
    other = _network()
    with torch.no_grad():
        other[2].bias[0] += 1e-6
    assert weights_hash(wrap(other)) != weights_hash(_network())


def test_another_precision_is_another_network() -> None:
    assert weights_hash(_network().half()) != weights_hash(_network())
    assert weights_hash(_compiled(_network().half())) != weights_hash(_network())


@pytest.mark.parametrize(
    ("wrap", "layer"),
    [(torch.nn.DataParallel, "module.0"), (_compiled, "_orig_mod.0"), (AveragedModel, "module.0")],
)
def test_features_of_a_wrapped_network_are_those_of_the_bare_one(wrap: Callable[[Any], Any], layer: str) -> None:
    image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    bare, wrapped = NetworkFeatures(_network(), "0"), NetworkFeatures(wrap(_network()), layer)
    assert wrapped.name == bare.name
    assert torch.equal(wrapped(image), bare(image))


def test_is_the_written_form_of_the_record() -> None:
    # Stored calibrations hold this hash, so a change here would make every one of them unusable.
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0]]))
        layer.bias.copy_(torch.tensor([0.5]))
    written = b"bias torch.float32 (1,)" + bytes.fromhex("0000003f")
    written += b"weight torch.float32 (1, 2)" + bytes.fromhex("0000803f000000c0")
    assert weights_hash(layer) == "sha256:" + hashlib.sha256(written).hexdigest()[:16]


def test_form_and_repeatability() -> None:
    network = _network()
    assert re.fullmatch(r"sha256:[0-9a-f]{16}", weights_hash(network))
    assert weights_hash(network) == weights_hash(network) == weights_hash(copy.deepcopy(network))


def test_mode_gradients_and_memory_layout_do_not_matter() -> None:
    network: Any = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3))
    before = weights_hash(network)
    network.train().requires_grad_(False).to(memory_format=torch.channels_last)
    assert not network[0].weight.is_contiguous()
    assert weights_hash(network) == before


def _load(network: Any) -> None:
    network.load_state_dict({name: value + 1 for name, value in network.state_dict().items()})


def _in_place(network: Any) -> None:
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] += 1e-6


def _through_data(network: Any) -> None:
    network[2].bias.data[1] += 0.1


def _buffer(network: Any) -> None:
    network[1].running_mean += 0.1


def _step(network: Any) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.rand(2, 1, 8, 8)).sum().backward()
    optimizer.step()


def _dtype(network: Any) -> None:
    network.double()


@pytest.mark.parametrize("change", [_load, _in_place, _through_data, _buffer, _step, _dtype])
def test_every_change_of_the_weights_shows(change: Callable[[Any], None]) -> None:
    network = _network()
    before = weights_hash(network)
    change(network)
    assert weights_hash(network) != before


def test_names_and_shapes_count() -> None:
    values = torch.arange(4.0)
    hashes = set()
    for name, shape in (("a", (4,)), ("b", (4,)), ("a", (2, 2)), ("a", (4, 1))):
        module = torch.nn.Module()
        module.register_buffer(name, values.reshape(shape))
        hashes.add(weights_hash(module))
    assert len(hashes) == 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool, torch.int64, torch.complex64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 2)])
def test_any_dtype_and_shape(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    module: Any = torch.nn.Module()
    module.register_buffer("values", torch.zeros(shape, dtype=dtype))
    before = weights_hash(module)
    module.values.fill_(1)
    assert (weights_hash(module) == before) == (shape == (0,))


def test_a_network_without_weights_has_one_too() -> None:
    assert weights_hash(torch.nn.ReLU()) == "sha256:" + hashlib.sha256().hexdigest()[:16]


def _quantised(network: Any) -> Any:
    """As torch quantises at run time: the weights are packed into tuples."""
    return torch.ao.quantization.quantize_dynamic(copy.deepcopy(network), {torch.nn.Linear})


class _Scaled(torch.nn.Module):
    """Weights that are the same whole numbers, times a scale."""

    def __init__(self, scale: float, per_channel: bool) -> None:
        super().__init__()
        values, scales = scale * torch.ones(2, 3), torch.full((2,), scale)
        weight = (
            torch.quantize_per_channel(values, scales, torch.zeros(2, dtype=torch.int64), 0, torch.qint8)
            if per_channel
            else torch.quantize_per_tensor(values, scale, 0, torch.qint8)
        )
        self.register_buffer("weight", weight)


class _Keeps(torch.nn.Module):
    """A layer with a state of its own kind."""

    def __init__(self, kept: Any) -> None:
        super().__init__()
        self.kept = kept

    def get_extra_state(self) -> Any:
        return self.kept


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.ao.quantization")
def test_a_quantised_network_is_another_and_follows_its_weights() -> None:
    torch.manual_seed(0)
    network, other = (torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)) for _ in range(2))
    assert weights_hash(_quantised(network)) != weights_hash(network)
    assert weights_hash(_quantised(network)) == weights_hash(_quantised(network))
    assert weights_hash(_quantised(network)) != weights_hash(_quantised(other))
    nearly = copy.deepcopy(network)
    with torch.no_grad():
        nearly[1].bias[0] += 1e-3
    assert weights_hash(_quantised(nearly)) != weights_hash(_quantised(network))


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_scale_of_quantised_weights_counts(per_channel: bool) -> None:
    assert weights_hash(_Scaled(1.0, per_channel)) == weights_hash(_Scaled(1.0, per_channel))
    assert weights_hash(_Scaled(1.0, per_channel)) != weights_hash(_Scaled(2.0, per_channel))


def test_whatever_a_layer_keeps_counts_or_is_refused() -> None:
    for one, other in (
        (1, 2),
        ("a", "b"),
        (torch.eye(2).to_sparse(), torch.ones(2, 2).to_sparse()),
        ({"a": [1]}, {"a": [2]}),
    ):
        assert weights_hash(_Keeps(one)) == weights_hash(_Keeps(copy.deepcopy(one)))
        assert weights_hash(_Keeps(one)) != weights_hash(_Keeps(other))
    with pytest.raises(ValueError, match="holds a object under '_extra_state', which cannot be hashed"):
        weights_hash(_Keeps(object()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_frozen_script_hides_its_weights() -> None:
    network = torch.nn.Conv2d(1, 2, 1).eval()
    script = torch.jit.script(network)
    assert weights_hash(script) == weights_hash(network)
    with pytest.raises(ValueError, match=r"frozen TorchScript.*before torch\.jit\.freeze"):
        weights_hash(torch.jit.freeze(script))
