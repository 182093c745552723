"""What a map itself tells of how its score was made, and where its record travels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor

from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.same_grid import lie_alike

__all__ = ["completed_record", "features_record", "grid_side", "map_spacing", "provenance_key", "record_of"]


def provenance_key(key: Hashable) -> str:
    """Where the record of the map under ``key`` lies.

    It lies beside the map and not in its meta data, because `Invertd` replaces those.

    Example:
        >>> provenance_key("pred")
        'pred_provenance'
    """
    return f"{key}_provenance"


def record_of(data: Mapping[Any, Any], key: Hashable) -> ScoreRecord:
    """Read the record that lies beside the map under ``key``; an empty one where there is none.

    In a data dictionary it travels as JSON values: MONAI collates, caches and pickles these as they are.

    Raises:
        ValueError: when something else lies there; the message names the key.

    Example:
        >>> record_of({"pred_provenance": {"network": "sha256:12"}}, "pred").network
        'sha256:12'
    """
    found = data.get(provenance_key(key))
    try:
        return UNRECORDED if found is None else ScoreRecord.from_json(found)
    except ValueError as error:
        raise ValueError(f"Key '{provenance_key(key)}': {error}") from error


def features_record(extractor_name: str) -> dict[str, str]:
    """What is known of features: which extractor made them, under the name that holds its settings and weights.

    Example:
        >>> features_record("MINDFeatures(radius=2, dilation=2)")
        {'extractor': 'MINDFeatures(radius=2, dilation=2)'}
    """
    return {"extractor": extractor_name}


def completed_record(score: NdarrayOrTensor, record: ScoreRecord) -> ScoreRecord:
    """Complete the record of a score with what can be read from the score itself.

    Args:
        score: the score map ``[C, *spatial]``.
        record: the record that travelled with it.

    Returns:
        the record with ``dtype`` and ``side``, see :py:func:`grid_side`.

    Example:
        >>> import torch
        >>> completed_record(torch.rand(2, 4, 4), ScoreRecord()).to_json()
        {'dtype': 'float32', 'side': 'unknown'}
    """
    return replace(record, dtype=str(score.dtype).removeprefix("torch."), side=grid_side(score))


def grid_side(score: NdarrayOrTensor) -> str:
    """Which side of `Invertd` a map is on, read from its meta data.

    Returns:
        ``"original"`` when it lies on the grid of the file the image was loaded from, ``"processed"`` when it lies on
        another or has transforms to be inverted (before `Invertd`), ``"unknown"`` when it carries no meta data to tell.
    """
    if not isinstance(score, MetaTensor):
        return "unknown"
    # Transforms that change nothing in this image change others: the side is the chain's, not the image's.
    if score.applied_operations:
        return "processed"
    affine, shape = score.meta.get("original_affine"), score.meta.get("spatial_shape")
    if affine is None or shape is None:
        return "unknown"
    axes = score.ndim - 1
    same_shape = tuple(int(n) for n in np.asarray(shape).reshape(-1)[:axes]) == tuple(score.shape[1:])
    # The axes of a 2D map come first in an affine of any rank; the last column is the offset.
    kept = [*range(axes), -1]
    now = np.asarray(score.affine)[np.ix_(kept, kept)]
    then = np.asarray(affine, dtype=float)[np.ix_(kept, kept)]
    return "original" if same_shape and lie_alike(now, then, score.shape[1:]) else "processed"


def map_spacing(value: NdarrayOrTensor) -> list[float] | None:
    """Voxel size of a map along each spatial axis in mm, or None where it carries no affine."""
    voxel = voxel_of(value)
    return None if voxel is None else voxel.lengths
