"""A look at an image's features: their main directions as colour, and what they hold to be alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from monai_rwcp.report.figures.canvas import new_figure
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.shown_text import figure_text

__all__ = ["draw_features", "principal_colours", "similarity_to_point"]

_POINT, _NEIGHBOUR = "#D55E00", "#56B4E9"


def principal_colours(features: torch.Tensor) -> torch.Tensor:
    """First three principal components of an image's features, as red, green and blue.

    Args:
        features: float tensor of shape ``[F, *grid]``.

    Returns:
        tensor of shape ``[*grid, 3]`` in [0, 1]; each component runs from its 1st to its 99th percentile, and its sign
        is such that its largest loading is positive. Fewer than three features leave the other colours at 0.5.

    Example:
        >>> import torch
        >>> principal_colours(torch.rand(8, 5, 6)).shape
        torch.Size([5, 6, 3])
    """
    vectors = features.flatten(1).T.double()
    vectors = vectors - vectors.mean(dim=0)
    # Eigenvectors of the F x F covariance: the number of cells may be large, the number of features is not.
    _, directions = torch.linalg.eigh(vectors.T @ vectors)
    directions = directions.flip(1)[:, :3]
    loading = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True))
    components = vectors @ (directions * loading.sign())
    colours = torch.full((len(vectors), 3), 0.5, dtype=torch.float64)
    for n, component in enumerate(components.T):
        low, high = np.percentile(component.cpu().numpy(), [1, 99])
        if high > low:
            colours[:, n] = ((component - low) / (high - low)).clamp(0, 1).cpu()
    return colours.reshape(*features.shape[1:], 3).float()


def similarity_to_point(
    features: torch.Tensor, cell: Sequence[int], k: int, *, center: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine similarity of every cell to one, and that cell's nearest neighbours, as the walk's graph has them.

    Args:
        features: float tensor of shape ``[F, *grid]``.
        cell: index of the cell along each axis of the grid.
        k: number of neighbours.
        center: whether the image's mean feature is subtracted first.

    Returns:
        the similarity, shape ``[*grid]`` in [-1, 1], and the neighbours' indices, int64 ``[k, axes]``, the nearest
        first; the cell itself is not among them.

    Raises:
        ValueError: when the cell is not on the grid or ``k`` is not smaller than the number of cells.

    Example:
        >>> import torch
        >>> similarity, neighbours = similarity_to_point(torch.rand(8, 5, 6), (2, 3), k=4)
        >>> similarity.shape, neighbours.shape
        (torch.Size([5, 6]), torch.Size([4, 2]))
    """
    grid = tuple(features.shape[1:])
    if len(cell) != len(grid) or not all(0 <= c < n for c, n in zip(cell, grid, strict=True)):
        raise ValueError(f"Expected `cell` to lie on the grid {grid}, but got {tuple(cell)}.")
    vectors = features.flatten(1).T
    if not 1 <= k < len(vectors):
        raise ValueError(f"Expected `k` from 1 to the number of cells minus 1 ({len(vectors) - 1}), but got {k}.")
    if center:
        vectors = vectors - vectors.mean(dim=0)
    z = F.normalize(vectors.double(), dim=1)
    own = int(np.ravel_multi_index(tuple(cell), grid))
    similarity = z @ z[own]
    others = similarity.clone()
    others[own] = -torch.inf
    nearest = others.topk(k).indices.cpu().numpy()
    neighbours = torch.from_numpy(np.stack(np.unravel_index(nearest, grid), axis=1))
    return similarity.reshape(grid).float(), neighbours


def draw_features(
    path: str | Path,
    *,
    image: np.ndarray,
    features: torch.Tensor,
    point: Sequence[int],
    title: str,
    k: int = 20,
    center: bool = False,
    spacing: Sequence[float] = (1.0, 1.0),
    slice_index: int | None = None,
) -> None:
    """Draw an image, its features as colour, and the similarity to one point with its nearest neighbours.

    Args:
        path: where the PNG goes; it appears whole or not at all.
        image: 2D array of grey values.
        features: ``[F, *grid]`` over the same field of view; of a volume with ``slice_index``.
        point: index of a pixel along the two axes of ``image``.
        title: a line above the panels.
        k: number of neighbours.
        center: whether the image's mean feature is subtracted before the similarity.
        spacing: pixel size along the two axes, for the proportions.
        slice_index: for features of a volume, which slice of their last axis ``image`` shows.

    Raises:
        ImportError: when matplotlib is missing.
        ValueError: when the point lies outside the image, or ``k`` is not smaller than the number of cells.
    """
    if image.ndim != 2 or features.ndim != (3 if slice_index is None else 4):
        raise ValueError(
            f"Expected a 2D image and features [F, *grid] of it, but got shapes {image.shape} and "
            f"{tuple(features.shape)}."
        )
    if len(point) != 2 or not all(0 <= p < n for p, n in zip(point, image.shape, strict=True)):
        raise ValueError(f"Expected `point` to lie in the image of {image.shape}, but got {tuple(point)}.")
    cells = features.shape[1:3]
    cell = [int((p + 0.5) * c / n) for p, n, c in zip(point, image.shape, cells, strict=True)]
    depth = [] if slice_index is None else [slice_index]
    similarity, neighbours = similarity_to_point(features, [*cell, *depth], k, center=center)
    colours = principal_colours(features)
    if slice_index is not None:
        similarity, colours = similarity[..., slice_index], colours[..., slice_index, :]
    shown = [n[:2] for n in neighbours.tolist() if n[2:] == depth]

    # The first array axis runs from left to right, as viewers show it.
    width, height = (n * s for n, s in zip(image.shape, spacing, strict=True))
    extent = (0.0, width, 0.0, height)
    figure = new_figure((9, 0.8 + 2.6 * min(max(height / width, 0.4), 2.0)))
    figure.suptitle(figure_text(title), fontsize=11)
    panels = figure.subplots(1, 3)

    def show(panel: Any, values: np.ndarray, heading: str, **options: Any) -> Any:
        panel.set_title(heading, fontsize=10)
        panel.set_axis_off()
        return panel.imshow(np.swapaxes(values, 0, 1), origin="lower", extent=extent, **options)

    def mark(panel: Any) -> None:
        centres = [
            [(i + 0.5) * length / n for i, length, n in zip(c, (width, height), cells, strict=True)] for c in shown
        ]
        if centres:
            panel.scatter(
                *zip(*centres, strict=True), marker="o", s=34, facecolors="none", edgecolors=_NEIGHBOUR, lw=1.6
            )
        at = [(p + 0.5) * s for p, s in zip(point, spacing, strict=True)]
        panel.scatter(*at, marker="x", s=80, color=_POINT, lw=2.4)
        panel.set(xlim=extent[:2], ylim=extent[2:])

    where = "" if slice_index is None else f", {len(shown)} here"
    show(panels[0], image, f"image; point (x) and\nits {k} nearest (o){where}", cmap="gray")
    mark(panels[0])
    show(panels[1], colours.numpy(), f"features' main directions,\n{' x '.join(map(str, cells))} cells")
    drawn = show(panels[2], similarity.cpu().numpy(), "cosine similarity\nto the point", cmap="cividis")
    mark(panels[2])
    figure.colorbar(drawn, ax=panels[2], shrink=0.8)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=150)
