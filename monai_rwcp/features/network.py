"""Features from the inner layers of a network that is there already."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F

from monai_rwcp.features.weights import weights_hash

__all__ = ["NetworkFeatures"]


class NetworkFeatures:
    """Activations of one or several named layers of any torch or MONAI network, in 2D and 3D.

    The user's own segmentation network serves without any download. Each call is one forward pass in evaluation mode
    without gradients; the network's mode is put back afterwards. One layer is returned as it is; several are each
    L2-normalised along their channels, brought to the finest of their grids and concatenated.

    Args:
        network: the network; it takes ``[1, C, *spatial]``.
        layers: name or names as in ``network.named_modules()``; each gives ``[1, F, *grid]`` over the whole image.

    Raises:
        TypeError: when ``network`` is not a `torch.nn.Module`.
        ValueError: when a layer does not exist; the message lists the nearest names.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, stride=2, padding=1), torch.nn.ReLU())
        >>> NetworkFeatures(network, "0")(torch.rand(1, 8, 8)).shape
        torch.Size([4, 4, 4])
    """

    def __init__(self, network: torch.nn.Module, layers: str | Sequence[str]) -> None:
        if not isinstance(network, torch.nn.Module):
            raise TypeError(f"network must be a torch.nn.Module but is {type(network).__name__}.")
        self.network = network
        self.layers = (layers,) if isinstance(layers, str) else tuple(layers)
        known = [name for name, _ in network.named_modules() if name]
        for layer in self.layers:
            if layer not in known:
                near = difflib.get_close_matches(layer, known, n=5, cutoff=0.3) or known[:5]
                raise ValueError(
                    f"{type(network).__name__} has no layer '{layer}'. Near names: {', '.join(near)}. All of them: "
                    "[name for name, _ in network.named_modules()]."
                )
        if not self.layers:
            raise ValueError("Expected at least one layer name, but got none.")

    @property
    def name(self) -> str:
        """Network class, layers and hash of the weights as they are now."""
        return f"NetworkFeatures({type(self.network).__name__}, {'+'.join(self.layers)}, {weights_hash(self.network)})"

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the features of one image.

        Args:
            image: float tensor of shape ``[C, *spatial]``, as the network was trained on.

        Returns:
            plain float32 tensor of shape ``[F, *grid]`` on the image's device.

        Raises:
            ValueError: when the image or an activation is not finite, or a layer gives no dense map.
        """
        # Meta data would be copied at every operation inside the network.
        image = image.as_subclass(torch.Tensor)
        if not torch.isfinite(image).all():
            raise ValueError(
                f"Expected a finite image, but in shape {tuple(image.shape)} some values are NaN or infinite. Replace "
                "them before the features are computed."
            )
        parameter = next(self.network.parameters(), image)
        # A network that begins with an operation in place would otherwise write into the caller's image.
        batch = image.to(device=parameter.device, dtype=parameter.dtype, copy=True).unsqueeze(0)
        caught: dict[str, object] = {}
        with _evaluation_mode(self.network), _hooks(self.network, self.layers, caught):
            self.network(batch)
        maps = [_dense_map(layer, caught, image) for layer in self.layers]
        if len(maps) == 1:
            return maps[0][0].to(image.device)
        finest = max((m.shape[2:] for m in maps), key=lambda shape: shape.numel())
        return torch.cat([_on_grid(F.normalize(m, dim=1), finest)[0] for m in maps]).to(image.device)


def _dense_map(layer: str, caught: dict[str, object], image: torch.Tensor) -> torch.Tensor:
    if layer not in caught:
        raise ValueError(f"Expected layer '{layer}' to run for this image, but it did not. Choose one that does.")
    value = caught[layer]
    got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
    if not isinstance(value, torch.Tensor) or value.ndim != image.ndim + 1 or value.shape[0] != 1:
        raise ValueError(
            f"Expected layer '{layer}' to give a map [1, features, *grid] with {image.ndim - 1} spatial axes, but it "
            f"gave {got}. Choose a convolution or another layer that keeps the image's axes."
        )
    value = value.float()
    if not torch.isfinite(value).all():
        raise ValueError(
            f"Expected finite activations from layer '{layer}', but in shape {tuple(value.shape)} some are NaN or "
            "infinite. Check the network's weights and scale the image as it was trained on."
        )
    return value


def _on_grid(features: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    # The finest grid as a whole may still be the coarser one along a single axis: there, cells are averaged.
    smaller = [min(old, new) for old, new in zip(features.shape[2:], shape, strict=True)]
    features = F.interpolate(features, smaller, mode="area")
    return F.interpolate(features, shape, mode="bilinear" if len(shape) == 2 else "trilinear", align_corners=False)


@contextmanager
def _evaluation_mode(network: torch.nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def _hooks(network: torch.nn.Module, layers: Sequence[str], caught: dict[str, object]) -> Iterator[None]:
    def keep(layer: str):  # type: ignore[no-untyped-def]
        def hook(module: torch.nn.Module, inputs: object, output: object) -> None:
            # A later layer may work in place on the same memory.
            caught[layer] = output.clone() if isinstance(output, torch.Tensor) else output

        return hook

    handles = [network.get_submodule(layer).register_forward_hook(keep(layer)) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
