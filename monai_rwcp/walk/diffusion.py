"""The whole walk for one image: from a probability map and features to walked maps on the same grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from monai_rwcp.utils.score_range import check_range
from monai_rwcp.walk.graph import KNNGraph, transition_weights
from monai_rwcp.walk.grid import graph_grid_shape, resample_to_grid
from monai_rwcp.walk.image_graph import image_graph
from monai_rwcp.walk.neighbor_search import Backend
from monai_rwcp.walk.settings import WalkSettings
from monai_rwcp.walk.steps import random_walk

__all__ = ["diffuse_probabilities", "diffuse_variants"]


@torch.no_grad()
def diffuse_probabilities(
    probabilities: torch.Tensor,
    features: torch.Tensor,
    settings: WalkSettings,
    *,
    spacing: Sequence[float] | None = None,
    backend: Backend = "auto",
    progress: bool = False,
) -> torch.Tensor:
    r"""Diffuse a probability map over the nearest-neighbour graph of the image's features.

    .. math:: S_{t+1} = (1 - r) P S_t + r S_0

    on the graph grid, where :math:`S_0` is the map averaged onto that grid; the last state is interpolated back. Then
    come the last steps, after which channels need not add up to 1: :py:func:`keep_peaks`, :py:func:`keep_sure` and
    :py:func:`level_by_size`.
    A fixed map of one image: it draws no random numbers and looks at no other image.

    Args:
        probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
        features: float tensor of shape ``[F, *grid]`` over the same field of view, no axis longer than the map's.
        settings: what the walk does; see :py:class:`WalkSettings`.
        spacing: voxel size of the map along each axis in mm; None where it is not known (cubic voxels are assumed).
            Only the spatial term and ``size_exponent`` look at it.
        backend: how neighbours are searched, see :py:func:`knn_graph`.
        progress: whether a progress bar over the graph's nodes is shown.

    Returns:
        tensor of shape ``[C, *spatial]`` in [0, 1] and dtype of ``probabilities`` (half precision is walked in
        float32 and rounded once at the end).

    Raises:
        ValueError: when values are not finite or outside [0, 1], ranks or grids do not fit, a neighborhood of slices
            is asked of a 2D map, or ``k`` is not smaller than the number of nodes in a neighborhood.

    Source: RW-CP, arXiv 2601.18997 (steps 1 to 5).

    Example:
        >>> import torch
        >>> walked = diffuse_probabilities(torch.rand(2, 8, 8), torch.rand(5, 4, 4), WalkSettings(k=3))
        >>> walked.shape
        torch.Size([2, 8, 8])
    """
    ((_, walked),) = diffuse_variants(
        probabilities, features, [settings], spacing=spacing, backend=backend, progress=progress
    )
    return walked


@torch.no_grad()
def diffuse_variants(
    probabilities: torch.Tensor,
    features: torch.Tensor,
    variants: Sequence[WalkSettings],
    *,
    spacing: Sequence[float] | None = None,
    backend: Backend = "auto",
    progress: bool = False,
) -> Iterator[tuple[WalkSettings, torch.Tensor]]:
    """Diffuse a probability map in several ways, each as :py:func:`diffuse_probabilities` does, sharing the work.

    One graph of the largest ``k`` serves all smaller ones, and one walk of the most steps all shorter ones.

    Args:
        probabilities, features, spacing, backend, progress: see :py:func:`diffuse_probabilities`.
        variants: the settings of each walk.

    Yields:
        settings and walked map, in an order that needs the least memory.

    Raises:
        ValueError: as :py:func:`diffuse_probabilities`.

    Example:
        >>> import torch
        >>> variants = [WalkSettings(k=3), WalkSettings(k=2, n_steps=5)]
        >>> walked = dict(diffuse_variants(torch.rand(2, 8, 8), torch.rand(5, 4, 4), variants))
        >>> walked[variants[1]].shape
        torch.Size([2, 8, 8])
    """
    _check_pair(probabilities, features)
    map_shape = probabilities.shape[1:]
    dtype = torch.promote_types(probabilities.dtype, torch.float32)
    vectors = features.to(device=probabilities.device, dtype=dtype)
    for alike in _alike(variants, "grid", "center", "spatial_weight", "neighborhood", "slice_axis"):
        nodes = graph_grid_shape(map_shape, features.shape[1:], alike[0].grid)
        x = resample_to_grid(probabilities.to(dtype), nodes).flatten(1).T.contiguous()
        widest = max(alike, key=lambda settings: settings.k)
        graph = image_graph(vectors, map_shape, widest, spacing=spacing, backend=backend, progress=progress)
        for walks in _alike(alike, "k", "beta", "restart"):
            k, beta, restart = walks[0].k, walks[0].beta, walks[0].restart
            nearest = KNNGraph(graph.neighbors[:, :k], graph.similarity[:, :k])
            # Walks that differ in their last steps alone are resampled once.
            lengths = _alike(walks, "n_steps")
            steps = [settings[0].n_steps for settings in lengths]
            weights = transition_weights(nearest.similarity, beta)
            states = random_walk(x, nearest, weights, max(steps), restart, return_steps=steps)
            for of_length, state in zip(lengths, states, strict=True):
                walked = resample_to_grid(state.T.reshape(-1, *nodes), map_shape)
                for settings in of_length:
                    yield settings, settings.last_steps.take(walked, probabilities, spacing).to(probabilities.dtype)


def _alike(variants: Sequence[WalkSettings], *names: str) -> list[list[WalkSettings]]:
    """Group settings that agree in the named ones."""
    groups: dict[tuple[object, ...], list[WalkSettings]] = {}
    for settings in variants:
        groups.setdefault(tuple(getattr(settings, name) for name in names), []).append(settings)
    return list(groups.values())


def _check_pair(probabilities: torch.Tensor, features: torch.Tensor) -> None:
    for name, value in (("probabilities", probabilities), ("features", features)):
        if value.ndim not in (3, 4) or not value.is_floating_point():
            raise ValueError(
                f"Expected `{name}` to be a float tensor [channels, height, width] or [channels, height, width, depth] "
                f"of one image without a batch dimension, but got {value.dtype} of shape {tuple(value.shape)}."
            )
    if not torch.isfinite(features).all():
        raise ValueError("Expected finite `features`, but some are NaN or infinite.")
    check_range(probabilities, "`probabilities`")
    if features.ndim != probabilities.ndim:
        raise ValueError(
            "Expected `probabilities` and `features` of the same number of spatial axes, but got shapes "
            f"{tuple(probabilities.shape)} and {tuple(features.shape)}."
        )
    if any(f > p for f, p in zip(features.shape[1:], probabilities.shape[1:], strict=True)):
        raise ValueError(
            "Expected a feature grid no finer than the map, but got a grid of "
            f"{tuple(features.shape[1:])} for a map of {tuple(probabilities.shape[1:])}. Features and probabilities "
            "must come from the same image, on the same side of Invertd."
        )
