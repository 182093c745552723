"""Grids of one shape that lie elsewhere, and cases of which one map lies on one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

SHAPE = (12, 12, 6)
SPACING = np.array([0.7, 0.7, 2.5])

# Oblique, mirrored, and metres away from the origin.
_turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, -1.0]])
HERE = np.eye(4)
HERE[:3, :3], HERE[:3, 3] = _turn * SPACING, (-1200.5, 3400.25, 2810)


def moved(*voxels: float, affine: np.ndarray = HERE) -> np.ndarray:
    """A grid whose voxels lie some voxels further along its axes."""
    by = np.eye(4)
    by[:3, 3] = voxels
    return affine @ by


def mirrored(axis: int) -> np.ndarray:
    """A grid that holds the same places from the other side."""
    by = np.eye(4)
    by[axis, axis], by[axis, 3] = -1, SHAPE[axis] - 1
    return HERE @ by


EXCHANGED = HERE[:, [1, 0, 2, 3]]
"""The first two axes, which have as many voxels, changed for each other."""

ELSEWHERE = {
    "one voxel": moved(1, 0, 0),
    "one slice": moved(0, 0, 1),
    "a tenth of a voxel": moved(0, 0.1, 0),
    "mirrored": mirrored(0),
    "upside down": mirrored(2),
    "axes exchanged": EXCHANGED,
    "a little larger": HERE @ np.diag([1.01, 1, 1, 1]),
    "lost": np.eye(4),
}
"""Grids that nobody may take for `HERE`."""

ROUNDED = moved(0.01, 0, 0.01)
"""What a header of six digits makes of `HERE`: to be warned of."""


def case(i: int, placed: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
    """A score, its label (a small organ), mask, weight map, set and inner set, each on `HERE` or where ``placed`` says."""
    generator = torch.Generator().manual_seed(i)
    label = torch.zeros(1, *SHAPE)
    label[0, 4:7, 5:8, 2:4] = 1
    p = (0.1 + 0.7 * label + 0.2 * torch.rand(1, *SHAPE, generator=generator)).clamp(0, 1)
    found = torch.cat([1 - label, label])
    maps = {
        "pred": torch.cat([1 - p, p]), "label": label, "roi": torch.ones(1, *SHAPE), "weight": torch.ones(1, *SHAPE),
        "pred_set": found, "pred_inner": torch.zeros(2, *SHAPE),
    }  # fmt: skip
    placed = placed or {}
    lying = {key: MetaTensor(values, affine=placed.get(key, HERE)) for key, values in maps.items()}
    return lying | {"patient": f"p{i}", "case": f"{i}"}
