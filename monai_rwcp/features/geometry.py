"""Where a grid of features lies in its image: padding, cropping to the image, and going through a volume in slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

__all__ = ["checked_slice_axis", "crop_to_image", "maps_of_image", "pad_to_shape"]


def checked_slice_axis(slice_axis: object) -> int | None:
    """A ``slice_axis`` argument as it is used: 0, 1, 2, or None.

    Raises:
        ValueError: when it is no spatial axis of a volume.
    """
    if slice_axis is None:
        return None
    if isinstance(slice_axis, int) and not isinstance(slice_axis, bool) and -3 <= slice_axis <= 2:
        return slice_axis % 3
    raise ValueError(
        f"Expected `slice_axis` to be a spatial axis of a volume, 0, 1 or 2 (-1 is the last), or None for 2D images, "
        f"but got {slice_axis!r}."
    )


def maps_of_image(
    image: torch.Tensor, slice_axis: int | None, batch_size: int, maps: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Apply a function of batches to one image, or to every slice of a volume.

    Args:
        image: tensor of shape ``[C, *spatial]``.
        slice_axis: spatial axis of a volume that the slices are stacked along; None gives the image as it is.
        batch_size: number of slices at a time.
        maps: function from ``[B, C, *spatial]`` to ``[B, F, *grid]``.

    Returns:
        tensor of shape ``[F, *grid]``; with ``slice_axis`` that axis is as long as the volume's.
    """
    if slice_axis is None:
        return maps(image.unsqueeze(0))[0]
    slices = image.movedim(slice_axis + 1, 0)
    return torch.cat([maps(part) for part in slices.split(batch_size)]).movedim(0, slice_axis + 1).contiguous()


def pad_to_shape(batch: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Extend images at the end of each axis by repeating their last values, so that no edge appears that is not there.

    Args:
        batch: float tensor of shape ``[B, C, *spatial]``.
        shape: spatial size to reach, nowhere smaller than the batch's.

    Returns:
        tensor of shape ``[B, C, *shape]``.

    Example:
        >>> import torch
        >>> pad_to_shape(torch.tensor([[[[1.0, 2.0]]]]), (1, 4))
        tensor([[[[1., 2., 2., 2.]]]])
    """
    missing = [new - old for old, new in zip(batch.shape[2:], shape, strict=True)]
    if not any(missing):
        return batch
    return F.pad(batch, [n for size in reversed(missing) for n in (0, size)], mode="replicate")


def crop_to_image(features: torch.Tensor, shape: Sequence[int], stride: Sequence[int]) -> torch.Tensor:
    """Give the part of a grid that covers an image, as whole cells of it.

    The grid begins where the image begins and may reach beyond its end. An image of whole cells is cut out. Otherwise
    the image is divided into equal cells as near to the stride as can be, whose features are interpolated linearly
    between the grid's cell centres: every cell stays where its features come from.

    Args:
        features: float tensor of shape ``[B, F, *grid]``.
        shape: spatial size of the image, in pixels or voxels.
        stride: size of a cell of the grid along each axis, in the same unit.

    Returns:
        tensor of shape ``[B, F, *cells]`` with ``cells = max(1, round(shape / stride))``.

    Example:
        >>> import torch
        >>> grid = torch.tensor([4.0, 12.0, 20.0, 28.0]).reshape(1, 1, 4)  # cell centres of a stride of 8
        >>> crop_to_image(grid, (18,), (8,))  # two cells of 9
        tensor([[[ 4.5000, 13.5000]]])
    """
    for axis, (size, step) in enumerate(zip(shape, stride, strict=True), start=2):
        cells = max(1, math.floor(size / step + 0.5))
        if cells * step == size:
            features = features.narrow(axis, 0, cells)
            continue
        last = features.shape[axis] - 1
        position = (torch.arange(cells, dtype=torch.float64, device=features.device) + 0.5) * (size / cells / step)
        position = (position - 0.5).clamp(0, last)
        lower = position.floor().long()
        share = (position - lower).to(features.dtype).reshape(-1, *[1] * (features.ndim - axis - 1))
        below, above = features.index_select(axis, lower), features.index_select(axis, (lower + 1).clamp(max=last))
        features = torch.lerp(below, above, share)
    return features
