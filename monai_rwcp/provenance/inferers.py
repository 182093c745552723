"""What an inferer does to the values of a map, as a record of JSON values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import pairwise
from types import FunctionType
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer, SliceInferer, SlidingWindowInferer, SlidingWindowInfererAdapt, Splitter

from monai_rwcp.provenance.weights import weights_hash

__all__ = ["flips_record", "inferer_record"]

# Where and in what portions the work is done, which changes values by rounding only, and what a call sets itself.
_NEUTRAL = {
    "batch_size",
    "buffer_dim",
    "buffer_size",
    "buffer_steps",
    "cpu_thresh",
    "device",
    "orig_roi_size",
    "output_keys",
    "progress",
    "roi_weight_map",
    "sw_batch_size",
    "sw_device",
}
# MONAI takes one number for all axes, too.
_FOR_EACH_AXIS = {"offset", "overlap", "patch_size", "roi_size", "sigma_scale"}


def inferer_record(inferer: Callable[..., Any]) -> dict[str, Any]:
    """Record the class of an inferer and those of its options that change values.

    Batch sizes, devices, buffers and progress bars are left out; so are the width of a Gaussian that is not used and
    the fill value of a padding that has none. One number for all axes is recorded as that number, however it was
    given. Functions are recorded by name (with arguments that `functools.partial` gives them), networks and arrays by
    the hash of their values, other objects by their class.

    Args:
        inferer: what the evaluator calls with images and a network: an inferer of MONAI, or any other object or
            function; of an object its public attributes are read.

    Returns:
        the record: ``class``, and an entry for each option.

    Raises:
        TypeError: when the inferer cannot be called, or holds a lambda.

    Example:
        >>> inferer_record(SlidingWindowInferer((64, 64, 32), sw_batch_size=4, overlap=0.5))["roi_size"]
        [64, 64, 32]
        >>> inferer_record(SlidingWindowInferer((64, 64), mode="gaussian"))["roi_size"]
        64
    """
    if isinstance(inferer, partial):
        options = {name: value for name, value in inferer.keywords.items() if name not in _NEUTRAL}
        return {
            "class": "partial",
            "function": _plain(inferer.func),
            "arguments": _plain(inferer.args),
            **_plain(options),
        }
    if not callable(inferer):
        raise TypeError(f"inferer must be callable, such as a SlidingWindowInferer, but is {type(inferer).__name__}.")
    if isinstance(inferer, FunctionType):
        return {"class": _plain(inferer)}
    # It gives what SlidingWindowInferer gives, and only finds out by itself where there is memory.
    kind = SlidingWindowInferer if type(inferer) is SlidingWindowInfererAdapt else type(inferer)
    record = {"class": getattr(inferer, "__qualname__", kind.__name__)}
    options = dict(vars(inferer))
    if isinstance(inferer, torch.nn.Module):
        record["weights"] = weights_hash(inferer)
    if isinstance(inferer, SlidingWindowInferer):
        if isinstance(inferer, SliceInferer):
            options["roi_size"] = inferer.orig_roi_size  # a call changes the other
        # A part that is None or not positive stands for the image's own size.
        sizes = options["roi_size"]
        sizes = sizes if isinstance(sizes, (list, tuple)) else [sizes]
        options["roi_size"] = [-1 if size is None or size <= 0 else int(size) for size in sizes]
        unused = {"sigma_scale": options["mode"] != "gaussian", "cval": options["padding_mode"] != "constant"}
        options = {name: value for name, value in options.items() if not unused.get(name, False)}
    for name, value in options.items():
        if not name.startswith("_") and name not in _NEUTRAL:
            plain = _plain(value)
            record[name] = _one_for_all(plain) if name in _FOR_EACH_AXIS else plain
    return record


def flips_record(flips: Iterable[int | Sequence[int]]) -> list[list[int]]:
    """Record which flipped copies of an image were averaged; the order of the copies, and of axes, does not matter.

    Args:
        flips: for each flipped copy the spatial axes it was flipped along, or one axis.

    Raises:
        ValueError: when an axis is not 0, 1 or 2, or a copy is named twice.

    Example:
        >>> flips_record([0, 1, (1, 0)])
        [[0], [0, 1], [1]]
    """
    try:
        record = sorted(sorted({flip} if isinstance(flip, int) else flip) for flip in flips)
        valid = all(axes and set(axes) <= {0, 1, 2} and len(set(axes)) == len(axes) for axes in record)
    except TypeError:
        valid = False
    if not valid or any(one == other for one, other in pairwise(record)):
        raise ValueError(
            "flips must name the spatial axes (0, 1, 2) of each flipped copy once, such as [[0], [1], [0, 1]], but is "
            f"{flips!r}."
        )
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, torch.nn.Module):
        return weights_hash(value)
    if isinstance(value, (Inferer, Splitter, partial)):
        return inferer_record(value)
    if isinstance(value, torch.dtype):
        return str(value)
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return hashlib.sha256(np.ascontiguousarray(torch.as_tensor(value).cpu().numpy()).tobytes()).hexdigest()[:16]
    name: str = getattr(value, "__qualname__", type(value).__name__)
    if "<lambda>" in name:
        raise TypeError(
            "inferer must have a record that tells it from others, but holds a lambda, which has no name. Write a "
            "function."
        )
    return name


def _one_for_all(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value and all(part == value[0] for part in value) else value
