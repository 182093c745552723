"""A short hash that names a network's weights."""

from __future__ import annotations

import hashlib

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
    """Hash the names, dtypes, shapes and values of a network's parameters and buffers.

    The same weights give the same hash on any device, and in whatever wraps the network (:py:func:`bare_network`) or
    compiles a part of it. A copy in another precision, or a quantised one, has another. It is computed anew at each
    call, a few milliseconds for every ten million bytes: a remembered hash would miss changes made through
    ``tensor.data``.

    Args:
        network: any module.

    Returns:
        ``"sha256:"`` and 16 hexadecimal digits.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 2)
        >>> before = weights_hash(layer)
        >>> _ = layer.weight.data.zero_()
        >>> before == weights_hash(layer)
        False
    """
    state = bare_network(network)[0].state_dict()
    digest = hashlib.sha256()
    for name, value in sorted({name.replace(f"{_COMPILED}.", ""): value for name, value in state.items()}.items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            # Viewing as bytes covers the dtypes that numpy does not know, such as bfloat16.
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()[:16]}"
