"""Where a vision network's outputs, tokens or maps, lie in its image."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["MapLayout", "find_layout", "map_of_output"]


@dataclass(frozen=True)
class MapLayout:
    """How one output of a network becomes a map.

    Args:
        stride: size of a cell in pixels.
        prefix: number of tokens before those of the cells (class token, registers); 0 for an output that is a map.
    """

    stride: int
    prefix: int


def find_layout(output: torch.Tensor, size: int, patch: int, n_registers: int) -> MapLayout | None:
    """Find how an output for a square image becomes a map.

    Args:
        output: a map ``[1, F, h, w]`` or tokens ``[1, T, F]`` of an image of ``size`` x ``size`` pixels.
        size: side of the image, a multiple of ``patch`` by a power of two.
        patch: the smallest size a cell can have: the patch size that the network's configuration states, or 1.
        n_registers: number of register tokens that the network's configuration states.

    Returns:
        the layout, or None when the output cannot be a map of the image: a cell's size must be ``patch`` times a power
        of two, and the tokens before the cells none, a class token, a class and a distillation token, or a class token
        and the registers.

    Example:
        >>> import torch
        >>> find_layout(torch.zeros(1, 5 + 8 * 8, 32), size=128, patch=16, n_registers=4)
        MapLayout(stride=16, prefix=5)
    """
    stride = patch
    while stride <= size:
        cells = size // stride
        if output.ndim == 4 and output.shape[2:] == (cells, cells):
            return MapLayout(stride, 0)
        if output.ndim == 3 and output.shape[1] - cells**2 in {0, 1, 2, 1 + n_registers}:
            return MapLayout(stride, output.shape[1] - cells**2)
        stride *= 2
    return None


def map_of_output(output: torch.Tensor, layout: MapLayout, shape: tuple[int, int]) -> torch.Tensor:
    """Make a map of an output.

    Args:
        output: map ``[B, F, h, w]`` or tokens ``[B, T, F]``, of an image of ``shape`` pixels.
        layout: the network's layout for this output.
        shape: height and width of the image, whole multiples of the stride.

    Returns:
        tensor of shape ``[B, F, height / stride, width / stride]``.

    Raises:
        ValueError: when the output has another number of cells.
    """
    rows, columns = (n // layout.stride for n in shape)
    if output.ndim == 3 and output.shape[1] == layout.prefix + rows * columns:
        cells = output[:, layout.prefix :]
        return cells.transpose(1, 2).reshape(output.shape[0], -1, rows, columns)
    if output.ndim == 4 and output.shape[2:] == (rows, columns):
        return output
    raise ValueError(
        f"Expected {rows} x {columns} cells of {layout.stride} pixels from the network for an image of {shape[0]} x "
        f"{shape[1]}, but its output has shape {tuple(output.shape)}. It does not keep to one cell size."
    )
