"""Features from the inner layers of a network that is there already."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from monai.inferers.utils import sliding_window_inference

from monai_rwcp.features.geometry import checked_slice_axis, crop_to_image, maps_of_image, pad_to_shape
from monai_rwcp.features.images import check_image
from monai_rwcp.features.layers import caught_layers, checked_layers, combined_maps, dense_maps, evaluation_mode
from monai_rwcp.provenance.weights import bare_network, weights_hash

__all__ = ["NetworkFeatures"]


class NetworkFeatures:
    """Activations of one or several named layers of any torch or MONAI network, in 2D and 3D.

    The user's own segmentation network serves without any download. Each call is one forward pass in evaluation mode
    without gradients; the network's mode is put back afterwards. One layer is returned as it is; several are each
    L2-normalised along their channels, brought to the finest of their grids and concatenated.

    Args:
        network: the network; it takes ``[B, C, *spatial]``.
        layers: name or names as in ``network.named_modules()``; each gives ``[B, F, *grid]`` over the whole image.
        slice_axis: for a 2D network on volumes, the spatial axis that the slices are stacked along.
        window: for a network on large images, the spatial size of the windows that MONAI's sliding-window inference
            takes it through; whole multiples of each layer's stride. None gives the whole image at once.
        overlap: share of a window that the next one covers again, in [0, 1); the step between windows is rounded down
            to whole cells.
        batch_size: number of slices or windows in one forward pass.

    Raises:
        TypeError: when ``network`` is not a `torch.nn.Module`.
        ValueError: when a layer does not exist (the message lists the nearest names), or an argument is out of range.

    Example:
        >>> import torch
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, stride=2, padding=1), torch.nn.ReLU())
        >>> NetworkFeatures(network, "0")(torch.rand(1, 8, 8)).shape
        torch.Size([4, 4, 4])
        >>> NetworkFeatures(network, "0", slice_axis=2)(torch.rand(1, 8, 8, 5)).shape
        torch.Size([4, 4, 4, 5])
    """

    def __init__(
        self,
        network: torch.nn.Module,
        layers: str | Sequence[str],
        *,
        slice_axis: int | None = None,
        window: Sequence[int] | None = None,
        overlap: float = 0.25,
        batch_size: int = 8,
    ) -> None:
        # Hooks do not fire in compiled code nor in copies on other GPUs, and the record is that of the bare network.
        self.network, prefix = bare_network(network)
        self.layers = tuple(layer.removeprefix(prefix) for layer in checked_layers(network, layers))
        self.slice_axis = checked_slice_axis(slice_axis)
        self.window = None if window is None else tuple(int(size) for size in window)
        if self.window is not None and min(self.window, default=0) < 1:
            raise ValueError(f"Expected `window` to be a positive size for each spatial axis, but got {window}.")
        if not 0 <= overlap < 1:
            raise ValueError(f"Expected `overlap` in [0, 1), but got {overlap}.")
        if batch_size < 1:
            raise ValueError(f"Expected `batch_size` of at least 1, but got {batch_size}.")
        self.overlap, self.batch_size = overlap, batch_size

    def __repr__(self) -> str:
        return f"NetworkFeatures({type(self.network).__name__}, {list(self.layers)})"

    @property
    def name(self) -> str:
        """Network class, layers, how images are gone through, and hash of the weights as they are now."""
        parts = [type(self.network).__name__, "+".join(self.layers)]
        if self.slice_axis is not None:
            parts.append(f"slice_axis={self.slice_axis}")
        if self.window is not None:
            parts.append(f"window={'x'.join(map(str, self.window))}, overlap={self.overlap:g}")
        return f"NetworkFeatures({', '.join([*parts, weights_hash(self.network)])})"

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the features of one image.

        Args:
            image: float tensor of shape ``[C, *spatial]``, as the network was trained on.

        Returns:
            plain float32 tensor of shape ``[F, *grid]`` on the image's device; with ``slice_axis`` that axis keeps the
            volume's length.

        Raises:
            ValueError: when the image is constant, or it or an activation is not finite, or a layer gives no dense map.
        """
        # Meta data would be copied at every operation inside the network.
        image = image.as_subclass(torch.Tensor)
        check_image(image, slice_axis=self.slice_axis, volumes=True)
        parameter = next(self.network.parameters(), image)
        # A network that begins with an operation in place would otherwise write into the caller's image.
        moved = image.to(device=parameter.device, dtype=parameter.dtype, copy=True)
        with evaluation_mode(self.network), caught_layers(self.network, self.layers) as caught:

            def maps(batch: torch.Tensor) -> list[torch.Tensor]:
                self.network(batch)
                return dense_maps(caught, self.layers, batch)

            def features(batch: torch.Tensor) -> torch.Tensor:
                if self.window is None:
                    return combined_maps(maps(batch))
                return _in_windows(batch, self.window, self.overlap, self.batch_size, maps)

            return maps_of_image(moved, self.slice_axis, self.batch_size, features).to(image.device)


def _in_windows(
    batch: torch.Tensor,
    window: Sequence[int],
    overlap: float,
    batch_size: int,
    maps: Callable[[torch.Tensor], list[torch.Tensor]],
) -> torch.Tensor:
    """Features of large images by MONAI's sliding windows, each of which begins at a whole cell of every layer."""
    shape = batch.shape[2:]
    if len(window) != len(shape):
        raise ValueError(f"Expected `window` of {len(shape)} sizes for images of {tuple(shape)}, but got {window}.")
    corner = pad_to_shape(batch[:1], [max(n, w) for n, w in zip(shape, window, strict=True)])
    first = maps(corner[(slice(None), slice(None), *(slice(w) for w in window))])
    strides = [[w / n for w, n in zip(window, m.shape[2:], strict=True)] for m in first]
    # MONAI finds a window's cells by multiplying with 1 / stride, which is exact only for powers of two.
    if any(math.frexp(step)[0] != 0.5 or step < 1 for stride in strides for step in stride):
        raise ValueError(
            f"Expected windows of whole cells, and strides of 1, 2, 4, ..., but a window of {window} gave grids of "
            f"{[tuple(m.shape[2:]) for m in first]}. Choose a window of multiples of 32, or another layer."
        )
    coarsest = [int(max(steps)) for steps in zip(*strides, strict=True)]
    padded = [max(w, -(-n // c) * c) for n, w, c in zip(shape, window, coarsest, strict=True)]
    # Every window is to begin at a whole cell. MONAI rounds window * (1 - overlap) down again: hence the half.
    steps = [max(c, int(w * (1 - overlap)) // c * c) for w, c in zip(window, coarsest, strict=True)]
    shares = [max(0.0, 1 - (s + 0.5) / w) for s, w in zip(steps, window, strict=True)]
    # MONAI narrows its map of weights from one output to the next, so the finest must come first.
    order = sorted(range(len(first)), key=lambda i: -first[i].shape[2:].numel())

    def finest_first(part: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = maps(part)
        return tuple(found[i] for i in order)

    stitched = sliding_window_inference(
        pad_to_shape(batch, padded), window, batch_size, finest_first, overlap=shares, mode="gaussian"
    )
    found = [stitched] if isinstance(stitched, torch.Tensor) else list(stitched)
    features = combined_maps([found[order.index(i)] for i in range(len(found))])
    cell = [n // m for n, m in zip(padded, features.shape[2:], strict=True)]
    return crop_to_image(features, shape, cell)
