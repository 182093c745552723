"""Pure tensors: the nearest-neighbour graph, its transition weights, the random walk, and the grids between."""

from __future__ import annotations

from monai_rwcp.walk.diffusion import diffuse_probabilities, diffuse_variants, keep_peaks
from monai_rwcp.walk.graph import KNNGraph, knn_graph, transition_weights
from monai_rwcp.walk.grid import Grid, cell_centres, graph_grid_shape, resample_to_grid
from monai_rwcp.walk.neighbor_search import Backend
from monai_rwcp.walk.random_walk import random_walk, random_walk_on_edges
from monai_rwcp.walk.settings import Neighborhood, WalkSettings, paper, recommended

__all__ = [
    "Backend",
    "Grid",
    "KNNGraph",
    "Neighborhood",
    "WalkSettings",
    "cell_centres",
    "diffuse_probabilities",
    "diffuse_variants",
    "graph_grid_shape",
    "keep_peaks",
    "knn_graph",
    "paper",
    "random_walk",
    "random_walk_on_edges",
    "recommended",
    "resample_to_grid",
    "transition_weights",
]
