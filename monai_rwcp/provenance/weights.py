"""A short hash that names a network's weights."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

__all__ = ["bare_network", "weights_hash"]


# How torch.compile and the wrappers below name the network within.
_COMPILED, _WRAPPED = "_orig_mod", "module"


def bare_network(network: torch.nn.Module) -> tuple[torch.nn.Module, str]:
    """Give the network within what wraps it as a whole: torch.compile, a wrapper for several GPUs, an averaged copy.

    Args:
        network: any module.

    Returns:
        the network itself, and what the wrapped one's names of its layers begin with.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> bare_network(torch.nn.DataParallel(layer)) == (layer, "module.")
        True
    """
    prefix = ""
    while True:
        if isinstance(network, (DataParallel, DistributedDataParallel, AveragedModel)):
            name = _WRAPPED
        elif isinstance(getattr(network, _COMPILED, None), torch.nn.Module):
            name = _COMPILED
        else:
            return network, prefix
        network, prefix = getattr(network, name), f"{prefix}{name}."


@torch.no_grad()
def weights_hash(network: torch.nn.Module) -> str:
    """Hash the names, dtypes, shapes and values of a network's parameters and buffers, packed ones included.

    The same weights give the same hash on any device, and in whatever wraps the network or compiles a part of it. A
    copy in another precision, or a quantised one, has another. It is computed anew at each call, a few milliseconds for
    every ten million bytes: a remembered hash would miss changes made through ``tensor.data``.

    Args:
        network: any module.

    Returns:
        ``"sha256:"`` and 16 hexadecimal digits.

    Raises:
        ValueError: when a layer keeps something that cannot be hashed; the message names it.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 2)
        >>> before = weights_hash(layer)
        >>> _ = layer.weight.data.zero_()
        >>> before == weights_hash(layer)
        False
    """
    bare = bare_network(network)[0]
    state = bare.state_dict()
    if not state and isinstance(bare, torch.jit.ScriptModule):
        raise ValueError(
            "The network is a frozen TorchScript, whose weights cannot be hashed, so that other weights could pass for "
            "these. Use it as it was before torch.jit.freeze."
        )
    digest = hashlib.sha256()
    for name, value in sorted({name.replace(f"{_COMPILED}.", ""): value for name, value in state.items()}.items()):
        for part in _parts(name, value):
            digest.update(part)
    return f"sha256:{digest.hexdigest()[:16]}"


def _parts(name: str, value: Any) -> Iterator[Any]:
    """What tells one entry of a network's state from another, as bytes."""
    if isinstance(value, torch.Tensor):
        yield f"{name} {value.dtype} {tuple(value.shape)}".encode()
        if value.is_quantized:
            # The same whole numbers mean other weights by another scale.
            yield from _parts(f"{name} scale", _scales(value))
            value = value.int_repr()
        dense = value.to_dense() if value.layout != torch.strided else value
        # Viewing as bytes covers the dtypes that numpy does not know, such as bfloat16.
        yield dense.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(value, tuple | list):
        # Quantised layers pack weight and bias.
        for i, part in enumerate(value):
            yield from _parts(f"{name}.{i}", part)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _parts(f"{name}.{key}", value[key])
    elif value is None or isinstance(value, str | bytes | bool | int | float | torch.dtype):
        yield f"{name} {value!r}".encode()
    elif isinstance(value, io.BytesIO):
        yield f"{name} {value.getvalue()!r}".encode()
    else:
        raise ValueError(
            f"The state of the network holds a {type(value).__name__} under '{name}', which cannot be hashed, so that "
            "other weights could pass for these. Keep tensors, numbers or text there."
        )


def _scales(value: torch.Tensor) -> tuple[Any, ...]:
    if value.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return (value.q_scale(), value.q_zero_point())
    return (value.q_per_channel_scales(), value.q_per_channel_zero_points(), value.q_per_channel_axis())
