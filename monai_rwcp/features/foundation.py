"""Features from the vision foundation networks that the `transformers` package knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F

from monai_rwcp.features.geometry import checked_slice_axis, crop_to_image, maps_of_image, pad_to_shape
from monai_rwcp.features.images import Intensity, check_image, checked_intensity, intensity_name, scale_intensity
from monai_rwcp.features.layers import combined_maps
from monai_rwcp.features.normalization import Normalization, find_normalization
from monai_rwcp.features.pretrained import PretrainedNetwork
from monai_rwcp.features.tokens import map_of_output

__all__ = ["FoundationFeatures"]

Precision = Literal["float32", "float16", "bfloat16"]
Channels = Literal["each"] | Sequence[int]


class FoundationFeatures:
    """Dense features of 2D images, or of volumes slice by slice, from a vision foundation network.

    DINOv3 (ViT and ConvNeXt), DINOv2 (with and without registers), and any other network of `transformers.AutoModel`
    that gives a dense map. Patch size, registers and input channels are read from the network's own configuration. The
    network is loaded at the first call, from a local folder or from the hub's cache, and is frozen: evaluation mode,
    no gradients.

    An image whose sides are no multiples of the network's stride is extended on the right and below by its last values,
    and the features are brought to the cells of the image alone, so that the grid covers exactly the image.

    Args:
        name_or_path: a folder of ``save_pretrained`` (nothing is downloaded), or a hub id such as
            ``"facebook/dinov2-small"``. DINOv3 is gated and under its own licence: ask for access, then give a folder.
        layers: -1 is the last hidden state after the network's final normalisation. A number from 1 is the raw output
            of that block (ConvNeXt: stage). Several are each L2-normalised, brought to the finest of their grids and
            concatenated.
        intensity: how the image becomes [0, 1]: ``"none"`` (it is already; anything else is refused),
            ``"percentiles"`` (0.5th and 99.5th of the whole image or volume) or a window ``(low, high)`` such as HU.
        normalization: what the network expects after that: ``"imagenet"``, ``"lvd1689m"``, ``"sat493m"``, ``"none"`` or
            a pair ``(mean, std)``. None reads the network's ``preprocessor_config.json``; without one, ImageNet's
            numbers are used with a warning, and ``name`` says so.
        channels: which channels of the image become the network's. None takes one channel (repeated) or exactly as
            many as the network has. A sequence of channel numbers chooses; ``"each"`` gives every channel by itself,
            L2-normalised, one after the other.
        scale: factor by which the image is enlarged first, for a finer grid.
        slice_axis: for volumes, the spatial axis that the slices are stacked along.
        batch_size: number of slices in one forward pass.
        dtype: ``"float32"``, or ``"float16"`` or ``"bfloat16"`` for autocast (faster on CUDA).
        device: where the network runs, such as ``"cuda"``; None follows the image.

    Raises:
        ValueError: when an argument is out of its range.

    Source: RW-CP, arXiv 2601.18997 (dense features of a frozen DINOv3).

    Example:
        >>> import tempfile, torch
        >>> from transformers import Dinov2Config, Dinov2Model
        >>> config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, patch_size=14)
        >>> folder = tempfile.mkdtemp()
        >>> Dinov2Model(config).save_pretrained(folder)
        >>> FoundationFeatures(folder, normalization="imagenet")(torch.rand(1, 56, 70)).shape
        torch.Size([32, 4, 5])
    """

    def __init__(
        self,
        name_or_path: str | Path,
        layers: int | Sequence[int] = -1,
        *,
        intensity: Intensity = "none",
        normalization: str | Sequence[Sequence[float]] | None = None,
        channels: Channels | None = None,
        scale: float = 1.0,
        slice_axis: int | None = None,
        batch_size: int = 8,
        dtype: Precision = "float32",
        device: str | None = None,
    ) -> None:
        self.name_or_path = str(name_or_path)
        self.layers = (layers,) if isinstance(layers, int) else tuple(layers)
        if not self.layers or not all(isinstance(n, int) and (n == -1 or n >= 1) for n in self.layers):
            raise ValueError(
                "Expected `layers` to be -1 (the final, normalised state), the number of a block from 1, or several of "
                f"them, but got {layers!r}."
            )
        if (
            channels is not None
            and channels != "each"
            and (isinstance(channels, str) or not all(c >= 0 for c in channels))
        ):
            raise ValueError(f'Expected `channels` to be None, "each" or channel numbers, but got {channels!r}.')
        if not 0 < scale < float("inf"):
            raise ValueError(f"Expected `scale` to be a positive number, but got {scale}.")
        if dtype not in ("float32", "float16", "bfloat16"):
            raise ValueError(f'Expected `dtype` to be "float32", "float16" or "bfloat16", but got {dtype!r}.')
        if batch_size < 1:
            raise ValueError(f"Expected `batch_size` of at least 1, but got {batch_size}.")
        self.intensity = checked_intensity(intensity)
        self.normalization = normalization
        self.channels = channels if channels is None or channels == "each" else tuple(channels)
        self.scale, self.batch_size, self.dtype, self.device = float(scale), batch_size, dtype, device
        self.slice_axis = checked_slice_axis(slice_axis)
        self._loaded: tuple[PretrainedNetwork, Normalization] | None = None

    def __repr__(self) -> str:
        return f"FoundationFeatures('{self.name_or_path}', layers={list(self.layers)}, intensity={self.intensity!r})"

    @property
    def name(self) -> str:
        """Kind of network, hash of its weights, and every argument that the features depend on; loads the network."""
        network, normalization = self._network()
        parts = [
            network.kind,
            network.hash,
            f"layers={'+'.join(map(str, self.layers))}",
            intensity_name(self.intensity),
            f"normalization={normalization.source} {normalization.mean} {normalization.std}",
            f"channels={self.channels}" if self.channels is not None else "",
            f"scale={self.scale:g}" if self.scale != 1 else "",
            f"slice_axis={self.slice_axis}" if self.slice_axis is not None else "",
            self.dtype,
        ]
        return f"FoundationFeatures({', '.join(part for part in parts if part)})"

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the features of one image.

        Args:
            image: float tensor of shape ``[C, height, width]``, or of a volume with ``slice_axis``.

        Returns:
            plain float32 tensor of shape ``[F, *grid]`` on the image's device; with ``slice_axis`` that axis keeps the
            volume's length.

        Raises:
            ValueError: when the image is not 2D (or no volume, with ``slice_axis``), not finite, constant, not in
                [0, 1] where it should be, or has channels that the network does not take, or when the network has no
                such layer or gives no dense map.
            OSError: when the network cannot be had; the message says how to get it.
            ImportError: when `transformers` is missing or older than the network.
        """
        image = image.as_subclass(torch.Tensor)
        check_image(image, slice_axis=self.slice_axis)
        network, _ = self._network()
        device = torch.device(self.device) if self.device is not None else image.device
        network.module.to(device)
        pixels = scale_intensity(self._chosen(image, network.n_channels), self.intensity).to(device)
        inputs = pixels.split(1) if self.channels == "each" else [pixels]
        maps = [maps_of_image(x, self.slice_axis, self.batch_size, self._maps) for x in inputs]
        if self.channels == "each":
            maps = [F.normalize(m, dim=0) for m in maps]
        return torch.cat(maps).to(image.device)

    def __getstate__(self) -> dict[str, Any]:
        # The network is read again where the pickle is opened: it is large and may sit on another device.
        return {**self.__dict__, "_loaded": None}

    def _chosen(self, image: torch.Tensor, n_channels: int) -> torch.Tensor:
        """The channels of the image that are used."""
        n = image.shape[0]
        if self.channels == "each":
            return image
        if self.channels is not None:
            if max(self.channels) >= n or len(self.channels) not in (1, n_channels):
                raise ValueError(
                    f"Expected `channels` to be 1 or {n_channels} channel numbers below {n}, but got {self.channels}."
                )
            return image[list(self.channels)]
        if n not in (1, n_channels):
            raise ValueError(
                f"Expected an image of 1 or {n_channels} channels, but got shape {tuple(image.shape)}. Give "
                f'channels=(0, ...) to choose 1 or {n_channels} of them, or channels="each" to use each by itself.'
            )
        return image

    def _maps(self, batch: torch.Tensor) -> torch.Tensor:
        network, normalization = self._network()
        shape = [max(1, round(n * self.scale)) for n in batch.shape[2:]]
        if self.scale != 1:
            batch = F.interpolate(batch, shape, mode="bilinear", align_corners=False, antialias=True)
        mean, std = (
            torch.tensor(v, device=batch.device).reshape(-1, 1, 1) for v in (normalization.mean, normalization.std)
        )
        if mean.shape[0] not in (1, network.n_channels):
            raise ValueError(
                f"Expected a normalization for the {network.n_channels} channels of the network, but got "
                f"{normalization}."
            )
        batch = (batch.expand(-1, network.n_channels, -1, -1) - mean) / std
        height, width = (-(-n // network.multiple) * network.multiple for n in shape)
        batch = pad_to_shape(batch, (height, width))
        with torch.autocast(batch.device.type, dtype=getattr(torch, self.dtype), enabled=self.dtype != "float32"):
            outputs = network.outputs(batch)
        maps = [
            map_of_output(output.float(), layout, (height, width))
            for output, layout in zip(outputs, network.layouts, strict=True)
        ]
        if not all(torch.isfinite(m).all() for m in maps):
            raise ValueError(
                f"Expected finite features, but with dtype={self.dtype!r} some are NaN or infinite. Use "
                'dtype="float32", and check the weights.'
            )
        stride = min(layout.stride for layout in network.layouts)
        return crop_to_image(combined_maps(maps), shape, (stride, stride))

    def _network(self) -> tuple[PretrainedNetwork, Normalization]:
        if self._loaded is None:
            network = PretrainedNetwork(self.name_or_path, self.layers)
            self._loaded = network, find_normalization(self.normalization, self.name_or_path)
        return self._loaded
