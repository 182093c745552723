"""Building the exact graph of the nearest neighbours of feature vectors."""

from __future__ import annotations

import torch

from monai_rwcp.utils.precision import full_precision
from monai_rwcp.utils.progress import shown_progress
from monai_rwcp.walk.graph import KNNGraph
from monai_rwcp.walk.interpolated_search import search_interpolated, search_pays
from monai_rwcp.walk.neighbor_search import Backend, search_neighbors
from monai_rwcp.walk.search_windows import slice_windows
from monai_rwcp.walk.sparse import pair_products

__all__ = ["build_graph", "knn_graph"]

# Features whose squares neither overflow nor vanish in float32, whatever their number.
_SAFE = (2.0**-40, 2.0**40)


def knn_graph(
    features: torch.Tensor,
    k: int,
    *,
    coordinates: torch.Tensor | None = None,
    spatial_weight: float = 0.0,
    slices: torch.Tensor | None = None,
    slice_reach: int = 0,
    backend: Backend = "auto",
    progress: bool = False,
) -> KNNGraph:
    r"""Find the exact ``k`` nearest neighbours of every node by cosine similarity and, if asked, by position.

    The similarity of two nodes is

    .. math:: s_{ij} = z_i \cdot z_j - \tfrac{g^2}{2} \lVert u_i - u_j \rVert^2,

    where :math:`z` are the L2-normalised features, :math:`u` the ``coordinates`` and :math:`g` the
    ``spatial_weight``. A node is never its own neighbour, so that every node has exactly ``k`` neighbours even
    where features are duplicated; among equally similar nodes the choice is arbitrary but repeatable. A feature
    vector of zeros stays zero: its cosine with every node is 0.

    Args:
        features: float tensor of shape ``[N, F]``; need not be normalised. float64 is kept, any other dtype is
            computed in float32.
        k: number of neighbours, at least 1 and smaller than the number of nodes that are searched for any node.
        coordinates: float tensor of shape ``[N, D]``, needed when ``spatial_weight`` is not 0.
        spatial_weight: weight :math:`g \ge 0` of the position.
        slices: int64 tensor of shape ``[N]``, the number of each node's slice; None searches among all nodes.
        slice_reach: with ``slices``, how many slices away a neighbour may lie; 0 keeps to a node's own slice.
        backend: ``"auto"`` is an exact blocked search. Beside a copy of the features it holds near 100 MiB, on a GPU
            300, in float64 twice as much. ``"pyg"`` calls ``torch_geometric.nn.knn_graph``, which needs a compiled
            companion package.
        progress: whether a progress bar over the nodes is shown.

    Returns:
        the graph; ``similarity`` is float64, so that ``beta`` does not magnify rounding.

    Raises:
        ValueError: when features are not a finite 2D float tensor, ``k`` does not fit, coordinates are missing, or
            they or slices do not fit, or (``"pyg"`` only) a feature vector is zero.
        ImportError: when ``backend="pyg"`` and torch-geometric's compiled companion is missing.

    Source: RW-CP, arXiv 2601.18997 (steps 1 and 2); the spatial term is this package's own addition.

    Example:
        >>> import torch
        >>> knn_graph(torch.eye(4), k=2).neighbors.shape
        torch.Size([4, 2])
    """
    return build_graph(
        features,
        k,
        coordinates=coordinates,
        spatial_weight=spatial_weight,
        slices=slices,
        slice_reach=slice_reach,
        backend=backend,
        progress=progress,
    )


def build_graph(
    features: torch.Tensor,
    k: int,
    *,
    coordinates: torch.Tensor | None = None,
    spatial_weight: float = 0.0,
    slices: torch.Tensor | None = None,
    slice_reach: int = 0,
    interpolated_from: tuple[torch.Tensor, tuple[int, ...]] | None = None,
    backend: Backend = "auto",
    progress: bool = False,
) -> KNNGraph:
    """Find what :py:func:`knn_graph` finds, the faster where it is told how the features were made.

    Args:
        features, k, coordinates, spatial_weight, slices, slice_reach, backend, progress: see :py:func:`knn_graph`.
        interpolated_from: ``(coarse, nodes)`` where ``features`` are ``resample_to_grid(coarse, nodes)``, row by row;
            a large grid is then searched several times faster, with the same result. It holds up to 350 MiB where
            there are many cells, on a GPU 600, in float64 twice as much. Nobody checks it: it is for those who have
            just made the features themselves.

    Raises:
        ValueError, ImportError: as :py:func:`knn_graph`.
    """
    vectors = _scaled(features)
    order, windows = slice_windows(slices, slice_reach, len(vectors))
    smallest = min(windows, key=lambda window: window.n_candidates)
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k < smallest.n_candidates:
        where, wider = "", ""
        if slices is not None:
            where = f" in slice {slices.sort().values[smallest.start]} and up to {slice_reach} slices away"
            wider = ", a larger reach of slices"
        raise ValueError(
            f"Expected `k` to be an integer from 1 to the number of nodes{where} minus 1 "
            f"({smallest.n_candidates - 1}), but got {k}. Use a smaller k{wider} or a finer graph grid."
        )
    position = _weighted_position(coordinates, spatial_weight, vectors)
    coarse, nodes = interpolated_from or (vectors, ())
    pays = interpolated_from is not None and search_pays(tuple(coarse.shape[1:]), nodes, k)
    with full_precision(), shown_progress(len(vectors), progress, "search neighbours", "node") as advance:
        if pays and slices is None and backend == "auto":
            neighbors = search_interpolated(vectors, coarse.to(vectors), nodes, k, position, advance)
        else:
            neighbors = search_neighbors(vectors, position, k, order, windows, backend, advance)
    return _ranked(vectors, position, neighbors)


def _scaled(features: torch.Tensor) -> torch.Tensor:
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(
            f"Expected `features` to be a float tensor [nodes, features], but got {features.dtype} of shape "
            f"{tuple(features.shape)}."
        )
    z = features if features.dtype == torch.float64 else features.to(torch.float32)
    # NaN and infinity survive the extremes, so one pass over the features shows both them and the scale.
    low, high = z.aminmax(dim=1, keepdim=True)
    if not (torch.isfinite(low) & torch.isfinite(high)).all():
        raise ValueError(
            "Expected finite `features`, but some are NaN or infinite. Look for NaN in the image or an overflow "
            "in half precision."
        )
    # A power of two changes no digit, and keeps the squares of very large or small features in range.
    largest = torch.maximum(-low, high)
    if _SAFE[0] < largest.where(largest > 0, 1).amin() and largest.amax() < _SAFE[1]:
        return z
    return torch.ldexp(z, -torch.frexp(largest).exponent)


def _weighted_position(coordinates: torch.Tensor | None, spatial_weight: float, z: torch.Tensor) -> torch.Tensor | None:
    if not 0.0 <= spatial_weight < float("inf"):
        raise ValueError(f"Expected `spatial_weight` to be a finite number of at least 0, but got {spatial_weight}.")
    if spatial_weight == 0:
        return None
    if coordinates is None or coordinates.ndim != 2 or coordinates.shape[0] != z.shape[0]:
        got = None if coordinates is None else tuple(coordinates.shape)
        raise ValueError(
            f"Expected `coordinates` of shape [{z.shape[0]}, spatial dimensions] for a spatial_weight of "
            f"{spatial_weight}, but got {got}."
        )
    return coordinates.to(z) * spatial_weight


def _ranked(vectors: torch.Tensor, position: torch.Tensor | None, neighbors: torch.Tensor) -> KNNGraph:
    # The rounding of normalisation and matrix product would be multiplied by beta. Computing the few similarities that
    # are kept anew in float64, and leaving them there, keeps the transition weights exact.
    neighbors = neighbors.sort(dim=1).values
    norm = torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)
    inverse = torch.where(norm > 0, 1 / norm, 0)
    similarity = pair_products(vectors, neighbors) * inverse.unsqueeze(1) * inverse[neighbors]
    if position is not None:
        u = position.double()
        similarity -= (u.unsqueeze(1) - u[neighbors]).square().sum(dim=2) / 2
    similarity, order = similarity.sort(dim=1, descending=True, stable=True)
    return KNNGraph(neighbors.gather(1, order), similarity)
