"""The graph of one image: its features brought to the graph grid and joined as the settings of a walk say."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from monai_rwcp.walk.graph import KNNGraph
from monai_rwcp.walk.graph_building import build_graph
from monai_rwcp.walk.grid import cell_centres, graph_grid_shape, resample_to_grid
from monai_rwcp.walk.neighbor_search import Backend
from monai_rwcp.walk.settings import WalkSettings

__all__ = ["image_graph"]


def image_graph(
    features: torch.Tensor,
    map_shape: Sequence[int],
    settings: WalkSettings,
    *,
    spacing: Sequence[float] | None = None,
    backend: Backend = "auto",
    progress: bool = False,
) -> KNNGraph:
    """Join every node of the graph grid with the nodes whose features are most like its own.

    Args:
        features: float tensor of shape ``[F, *grid]``, over the field of view of the map.
        map_shape: spatial size of the map, in voxels.
        settings: the walk that the graph is for.
        spacing, backend, progress: see :py:func:`monai_rwcp.walk.diffuse_probabilities`.

    Returns:
        the graph over ``graph_grid_shape(map_shape, grid, settings.grid)``, in row-major order.

    Raises:
        ValueError: when a neighborhood of slices is asked of a 2D map, the grid does not fit, or ``k`` is not smaller
            than the number of nodes in a neighborhood.

    Example:
        >>> import torch
        >>> image_graph(torch.rand(5, 4, 4), (8, 8), WalkSettings(k=3, grid=4))
        KNNGraph(4 nodes, k=3)
    """
    nodes = graph_grid_shape(map_shape, features.shape[1:], settings.grid)
    if settings.center:
        # Every node is a mean of cells, so subtracting the nodes' mean from the cells subtracts it from the nodes.
        mean = resample_to_grid(features, nodes).flatten(1).mean(dim=1)
        features = features - mean.reshape(-1, *[1] * len(nodes))
    coordinates = None
    if settings.spatial_weight > 0:
        size = (1.0,) * len(map_shape) if spacing is None else spacing
        extent = [n * s for n, s in zip(map_shape, size, strict=True)]
        coordinates = cell_centres(nodes, extent).to(features.device)
    return build_graph(
        resample_to_grid(features, nodes).flatten(1).T,
        settings.k,
        coordinates=coordinates,
        spatial_weight=settings.spatial_weight,
        slices=_slice_numbers(nodes, settings, features.device),
        slice_reach=settings.slice_reach or 0,
        interpolated_from=(features, nodes),
        backend=backend,
        progress=progress,
    )


def _slice_numbers(nodes: tuple[int, ...], settings: WalkSettings, device: torch.device) -> torch.Tensor | None:
    if settings.slice_reach is None:
        return None
    if len(nodes) != 3:
        raise ValueError(
            f"Expected a volume for neighborhood={settings.neighborhood!r}, but got a map with {len(nodes)} spatial "
            'axes. Give a volume, or leave neighborhood="volume".'
        )
    along = [1, 1, 1]
    along[settings.slice_axis] = -1
    numbers = torch.arange(nodes[settings.slice_axis], device=device).reshape(along)
    return numbers.expand(nodes).reshape(-1)
