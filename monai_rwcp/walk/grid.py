"""Grids of cells over one field of view: their sizes, their cell centres, and moving values between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch

from monai_rwcp.utils.precision import full_precision

__all__ = ["Grid", "cell_centres", "graph_grid_shape", "resample_to_grid"]

Grid = Literal["features", "map"] | int | tuple[int, ...]
"""The grid of graph nodes: that of the features, that of the map, or a stride of the map (one, or one an axis)."""


def graph_grid_shape(map_shape: Sequence[int], feature_shape: Sequence[int], grid: Grid) -> tuple[int, ...]:
    """Size of the grid of graph nodes.

    Args:
        map_shape: spatial size of the probability map, in voxels.
        feature_shape: spatial size of the feature map, in cells; same field of view.
        grid: ``"features"`` (the feature map's own grid), ``"map"``, or an integer stride of the map, one for all axes
            or one for each, which gives ``ceil(size / stride)`` cells.

    Returns:
        number of cells along each axis.

    Raises:
        ValueError: when ``grid`` is none of these, or has another number of strides than the map has axes.

    Example:
        >>> graph_grid_shape((224, 224), (64, 64), 4)
        (56, 56)
    """
    if grid == "features":
        return tuple(feature_shape)
    if grid == "map":
        return tuple(map_shape)
    strides = grid if isinstance(grid, tuple) else (grid,) * len(map_shape)
    if not strides or not all(isinstance(step, int) and not isinstance(step, bool) and step >= 1 for step in strides):
        raise ValueError(
            'Expected `grid` to be "features", "map" or an integer stride of at least 1 (or one for each axis), but '
            f"got {grid!r}."
        )
    if len(strides) != len(map_shape):
        raise ValueError(f"Expected `grid` with a stride for each of {len(map_shape)} spatial axes, got {grid!r}.")
    return tuple(-(-size // step) for size, step in zip(map_shape, strides, strict=True))


def resample_to_grid(x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Bring values from one grid to another over the same field of view, axis by axis.

    An axis that shrinks is averaged over the exact area each new cell covers, an axis that grows is interpolated
    linearly between cell centres (``align_corners=False``, edge values held), an axis that stays is left alone.
    Constants stay constant, and the result lies within the range of the input up to rounding.

    Args:
        x: float tensor of shape ``[C, *spatial]``.
        shape: new spatial size, one number for each spatial axis.

    Returns:
        tensor of shape ``[C, *shape]`` and dtype of ``x``; never shares memory with a changed axis.

    Raises:
        ValueError: when the number of axes differs.

    Example:
        >>> import torch
        >>> resample_to_grid(torch.tensor([[0.0, 2.0, 4.0, 6.0]]), (2,))
        tensor([[1., 5.]])
    """
    if len(shape) != x.ndim - 1:
        raise ValueError(f"Expected {x.ndim - 1} sizes for a map of shape {tuple(x.shape)}, but got {tuple(shape)}.")
    # Shrinking axes first keeps the intermediate arrays small.
    axes = sorted(range(len(shape)), key=lambda a: shape[a] / x.shape[a + 1])
    with full_precision():
        for axis in axes:
            old, new = x.shape[axis + 1], int(shape[axis])
            if old != new:
                matrix = _averaging_matrix(old, new) if new < old else _interpolation_matrix(old, new)
                matrix = matrix.to(x)
                before, after = math.prod(x.shape[: axis + 1]), math.prod(x.shape[axis + 2 :])
                size = (*x.shape[: axis + 1], new, *x.shape[axis + 2 :])
                if after == 1:
                    x = (x.reshape(before, old) @ matrix.T).reshape(size)
                else:
                    x = torch.bmm(matrix.expand(before, new, old), x.reshape(before, old, after)).reshape(size)
    return x.contiguous()


def cell_centres(
    shape: Sequence[int], extent: Sequence[float] | None = None, *, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Centre of every cell of a grid, scaled so that the longest axis runs from -1 to 1.

    Args:
        shape: number of cells along each axis.
        extent: physical length of the field of view along each axis, in mm (any one unit serves); None takes one
            unit a cell.
        dtype: dtype of the result.

    Returns:
        tensor of shape ``[number of cells, axes]``, in the row-major order of ``x.reshape(C, -1)``. The first and
        last centre of the axis whose centres span the longest distance are at -1 and 1; the others keep proportion.

    Raises:
        ValueError: when a length is not positive and finite.

    Example:
        >>> cell_centres((2, 3))[:3].tolist()
        [[-0.5, -1.0], [-0.5, 0.0], [-0.5, 1.0]]
    """
    length = torch.tensor([float(e) for e in (shape if extent is None else extent)], dtype=torch.float64)
    if length.numel() != len(shape) or not (torch.isfinite(length) & (length > 0)).all():
        raise ValueError(f"Expected a positive length for each of {len(shape)} axes, but got {length.tolist()}.")
    step = length / torch.tensor(list(shape), dtype=torch.float64)
    axes = [(torch.arange(n, dtype=torch.float64) - (n - 1) / 2) * s for n, s in zip(shape, step.tolist(), strict=True)]
    reach = max(float(axis[-1]) for axis in axes)
    grid = torch.stack([g.reshape(-1) for g in torch.meshgrid(*axes, indexing="ij")], dim=1)
    return (grid / reach if reach > 0 else grid).to(dtype)


def _averaging_matrix(old: int, new: int) -> torch.Tensor:
    edges = torch.arange(new + 1, dtype=torch.float64) * (old / new)
    cell = torch.arange(old, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], cell + 1) - torch.maximum(edges[:-1, None], cell)
    overlap = overlap.clamp(min=0)
    return overlap / overlap.sum(dim=1, keepdim=True)


def _interpolation_matrix(old: int, new: int) -> torch.Tensor:
    position = ((torch.arange(new, dtype=torch.float64) + 0.5) * (old / new) - 0.5).clamp(0, old - 1)
    lower = position.floor().long().clamp(max=max(old - 2, 0))
    upper = (lower + 1).clamp(max=old - 1)
    share = (position - lower).unsqueeze(1)
    matrix = torch.zeros((new, old), dtype=torch.float64)
    matrix.scatter_add_(1, lower.unsqueeze(1), 1 - share)
    return matrix.scatter_add_(1, upper.unsqueeze(1), share)
