"""Making and recording a score in an item, whichever way it is made."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_data_type, convert_to_dst_type

from monai_rwcp.provenance.score_maps import grid_side, map_spacing, provenance_key, record_of
from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.transforms.checks import check_item
from monai_rwcp.utils.field_of_view import check_field_of_view

__all__ = ["add_score", "made_score"]


def made_score(
    score: Score, probabilities: NdarrayOrTensor, features: NdarrayOrTensor | None, **options: Any
) -> NdarrayOrTensor:
    """Make the score of one map, in the map's own type, dtype and meta data.

    Args:
        score: how.
        probabilities: float ``[C, *spatial]`` in [0, 1], one item without a batch dimension, 2D or 3D.
        features: float ``[F, *grid]`` of the same image; only looked at for a walk.
        options: further ones of the score's ``make``.

    Raises:
        ValueError: when values, shapes or fields of view do not fit; the message says what to do.
    """
    check_item(probabilities)
    maps, *_ = convert_data_type(probabilities, torch.Tensor)
    vectors: torch.Tensor | None = None
    if isinstance(score, WalkedScore) and features is not None:
        check_item(features)
        check_field_of_view(probabilities, features)
        vectors, *_ = convert_data_type(features, torch.Tensor)
    made = score.make(maps, vectors, spacing=map_spacing(probabilities), **options)
    # A plain score is the map itself, and the result must not share its memory.
    result, *_ = convert_to_dst_type(made.clone() if made is maps else made, probabilities, dtype=probabilities.dtype)
    return result


def add_score(
    data: dict[Hashable, Any],
    score: Score,
    keys: tuple[Hashable, Hashable, Hashable],
    **options: Any,
) -> None:
    """Write the score of one map, and its record beside it.

    Args:
        data: the item.
        score: how it is made.
        keys: of the map, the features and the score.
        options: see :py:func:`made_score`.

    Raises:
        KeyError: when the features of a walk are not there.
        ValueError: when the map cannot be scored; the message names the keys.
    """
    key, feature_key, output_key = keys
    walks = isinstance(score, WalkedScore)
    if walks and feature_key not in data:
        raise KeyError(
            f"Expected the features of '{key}' under '{feature_key}', but there are only "
            f"{sorted(str(name) for name in data)}. Put DenseFeaturesd(output_keys='{feature_key}') first."
        )
    before = record_of(data, key)
    if score.last_steps.keep_sure is not None and before.steps:
        kinds = ", ".join(step.kind for step in before.steps)
        raise ValueError(
            f"Key '{key}': Expected the network's own probabilities, of which `keep_sure` keeps what is sure, but the "
            f"score was changed before ({kinds}). Give the step its own output key, or leave `keep_sure` off."
        )
    try:
        made = made_score(score, data[key], data[feature_key] if walks else None, **options)
    except ValueError as error:
        named = f"Keys '{key}' and '{feature_key}'" if walks else f"Key '{key}'"
        raise ValueError(f"{named}: {error}") from error
    record = score.record(
        before,
        side=grid_side(data[key]),
        spacing=map_spacing(data[key]),
        features=data.get(provenance_key(feature_key)),
    )
    if record.is_recorded:
        data[provenance_key(output_key)] = record.to_json()
    data[output_key] = made
