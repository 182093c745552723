"""A short hash that names a network's weights."""

from __future__ import annotations

import hashlib

import torch
from torch.nn.parallel import DataParallel, DistributedDataParallel

__all__ = ["weights_hash"]


@torch.no_grad()
def weights_hash(network: torch.nn.Module) -> str:
    """Hash the names, dtypes, shapes and values of a network's parameters and buffers.

    The same weights give the same hash on any device, and within `DistributedDataParallel`. It is computed anew at each
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
    if isinstance(network, (DataParallel, DistributedDataParallel)):
        network = network.module
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            # Viewing as bytes covers the dtypes that numpy does not know, such as bfloat16.
            digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()[:16]}"
