"""Catching what named layers of a network give, and making one feature map of it."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F

__all__ = ["caught_layers", "checked_layers", "combined_maps", "dense_maps", "evaluation_mode", "on_grid"]


class _Passes:
    """Lets one thread at a time go through networks: modes and hooks belong to a network, and not to a thread."""

    def __init__(self) -> None:
        self.renew()
        if hasattr(os, "register_at_fork"):
            # A process that is forked while another thread holds the lock would wait for that thread for ever.
            os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.RLock()


_PASSES = _Passes()


def checked_layers(network: torch.nn.Module, layers: str | Sequence[str]) -> tuple[str, ...]:
    """The names of layers as a tuple.

    Raises:
        TypeError: when ``network`` is not a `torch.nn.Module`.
        ValueError: when a layer does not exist (the message lists the nearest names), or none is named.
    """
    if not isinstance(network, torch.nn.Module):
        raise TypeError(f"network must be a torch.nn.Module but is {type(network).__name__}.")
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    known = [name for name, _ in network.named_modules() if name]
    for layer in names:
        if layer not in known:
            near = difflib.get_close_matches(layer, known, n=5, cutoff=0.3) or known[:5]
            raise ValueError(
                f"{type(network).__name__} has no layer '{layer}'. Near names: {', '.join(near)}. All of them: "
                "[name for name, _ in network.named_modules()]."
            )
    if not names:
        raise ValueError("Expected at least one layer name, but got none.")
    return names


@contextmanager
def evaluation_mode(network: torch.nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and every module back in its own afterwards.

    Other threads wait meanwhile, also those that would change the mode from outside, as an evaluator does.
    """

    def train(mode: bool = True) -> torch.nn.Module:
        with _PASSES.lock:
            return type(network).train(network, mode)

    with _PASSES.lock:
        modes = {module: module.training for module in network.modules()}
        own = vars(network).get("train")
        network.eval()
        vars(network)["train"] = train
        try:
            yield
        finally:
            if own is None:
                del vars(network)["train"]
            else:
                vars(network)["train"] = own
            for module, training in modes.items():
                if training and type(module).train is not torch.nn.Module.train:
                    # Some do more than to note it, such as to merge weights for evaluation.
                    type(module).train(module)
            for module, training in modes.items():
                module.training = training


@contextmanager
def caught_layers(network: torch.nn.Module, layers: Sequence[str]) -> Iterator[dict[str, object]]:
    """Catch the outputs of named layers while the block runs; the dictionary holds those of the last forward pass.

    Other threads that would catch layers wait meanwhile: they would catch these outputs, too. What goes through the
    network in a thread that catches none is not caught.
    """
    caught: dict[str, object] = {}
    thread = threading.get_ident()

    def keep(layer: str):  # type: ignore[no-untyped-def]
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            # A later layer may work in place on the same memory.
            if threading.get_ident() == thread:
                caught[layer] = output.clone() if isinstance(output, torch.Tensor) else output

        return hook

    with _PASSES.lock:
        handles = [network.get_submodule(layer).register_forward_hook(keep(layer)) for layer in layers]
        try:
            yield caught
        finally:
            for handle in handles:
                handle.remove()


def dense_maps(caught: dict[str, object], layers: Sequence[str], batch: torch.Tensor) -> list[torch.Tensor]:
    """The caught outputs as plain float32 maps, emptied from ``caught``.

    Args:
        caught: outputs by layer.
        layers: the layers that were asked for.
        batch: what the network was given, ``[B, C, *spatial]``.

    Returns:
        for each layer a tensor ``[B, F, *grid]``.

    Raises:
        ValueError: when a layer did not run, gives no dense map, or one that is not finite.
    """
    maps = []
    for layer in layers:
        if layer not in caught:
            raise ValueError(f"Expected layer '{layer}' to run for this image, but it did not. Choose one that does.")
        value = caught.pop(layer)
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        if not isinstance(value, torch.Tensor) or value.ndim != batch.ndim or value.shape[0] != batch.shape[0]:
            raise ValueError(
                f"Expected layer '{layer}' to give a map [{batch.shape[0]}, features, *grid] with {batch.ndim - 2} "
                f"spatial axes, but it gave {got}. Choose a convolution or another layer that keeps the image's axes."
            )
        value = value.as_subclass(torch.Tensor).float()
        if not torch.isfinite(value).all():
            raise ValueError(
                f"Expected finite activations from layer '{layer}', but in shape {tuple(value.shape)} some are NaN or "
                "infinite. Check the network's weights and scale the image as it was trained on."
            )
        maps.append(value)
    return maps


def combined_maps(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """One map of several: one stays as it is; several are L2-normalised, brought to the finest grid and concatenated.

    Args:
        maps: float tensors of shape ``[B, F_i, *grid_i]`` over the same field of view.

    Returns:
        tensor of shape ``[B, sum of F_i, *finest grid]``.
    """
    if len(maps) == 1:
        return maps[0]
    finest = max((m.shape[2:] for m in maps), key=lambda shape: shape.numel())
    return torch.cat([on_grid(F.normalize(m, dim=1), finest) for m in maps], dim=1)


def on_grid(features: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Bring features ``[B, F, *grid]`` to another grid over the same field of view."""
    if features.shape[2:] == shape:
        return features
    # The finest grid as a whole may still be the coarser one along a single axis: there, cells are averaged.
    smaller = [min(old, new) for old, new in zip(features.shape[2:], shape, strict=True)]
    features = F.interpolate(features, smaller, mode="area")
    return F.interpolate(features, shape, mode="bilinear" if len(shape) == 2 else "trilinear", align_corners=False)
