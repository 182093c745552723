"""What tuning reads of an item: score, truth, mask, features and the name of its unit."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_rwcp.conformal.counting.channel_sums import check_background
from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.provenance.score_maps import map_spacing
from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.together import make_together
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.utils.field_of_view import check_field_of_view
from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.names import name_as_text
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.score_range import check_no_mask
from monai_rwcp.utils.voxels import Voxel

__all__ = ["CaseKeys", "ScoredCase", "case_owner", "keys_of_sources", "names_of_units"]


@dataclass(frozen=True)
class CaseKeys:
    """Where things are in an item, and the form of its truth.

    Args:
        score, label: keys.
        mask: key of the mask, or None.
        features: key of each source of features.
        label_mode: form of the truth.
    """

    score: str
    label: str
    mask: str | None
    features: Mapping[str, str]
    label_mode: LabelMode


@dataclass(frozen=True)
class ScoredCase:
    """One item.

    Args:
        label: the truth.
        mask: ``[1, *spatial]``, or None.
        voxel: its edges in mm, or None where they are not known.
        scores: each candidate and its score, made while they are asked for.
    """

    label: torch.Tensor
    mask: torch.Tensor | None
    voxel: Voxel | None
    scores: Iterator[tuple[Score, torch.Tensor]]

    @staticmethod
    def of(
        case: Mapping[Hashable, Any],
        number: int,
        candidates: Sequence[Score],
        keys: CaseKeys,
        warned: set[tuple[str, str]],
    ) -> ScoredCase:
        """Read an item.

        Args:
            case, number: the item, and which of all it is.
            candidates: what is scored.
            keys: where things are.
            warned: pairs of maps that were warned of in this run, see :py:func:`check_same_grid`.

        Raises:
            KeyError: when it has no such key.
            TypeError: when something else than an array lies there.
            ValueError: when label, mask or features lie elsewhere than the score; the message names both keys; or when
                the map is of regions where the labels are class numbers.
        """
        given = _value(case, keys.score, number)
        score = _tensor(given, keys.score, number)
        try:
            check_no_mask(score)
            check_background(score, keys.label_mode)
        except ValueError as error:
            raise ValueError(f"'{keys.score}' of case {number}: {error}") from error
        named = {"score": keys.score, "label": keys.label} | ({} if keys.mask is None else {"mask": keys.mask})
        check_same_grid({what: (key, _value(case, key, number)) for what, key in named.items()}, warned)
        walked = {c.source for c in candidates if isinstance(c, WalkedScore)}
        for key in (keys.features[source] for source in walked):
            try:
                check_field_of_view(given, _value(case, key, number))
            except ValueError as error:
                raise ValueError(f"Keys '{keys.score}' and '{key}': {error}") from error
        features = {source: _at(case, keys.features[source], number) for source in walked}
        mask = None if keys.mask is None else _at(case, keys.mask, number)
        scores = make_together(score, candidates, features, spacing=map_spacing(given))
        return ScoredCase(_at(case, keys.label, number), mask, voxel_of(given), scores)


def case_owner(case: object, number: int, unit_key: str) -> str:
    """Name of the unit of an item.

    Raises:
        KeyError: when the item has no such key.
        TypeError: when the item is no dictionary.
        ValueError: when the name is missing, or none.
    """
    if not isinstance(case, Mapping):
        raise TypeError(
            f"Expected case {number} to be an item dictionary, but got {type(case).__name__}. A transform that gives "
            "several items of one has no place here."
        )
    if unit_key not in case:
        _value(case, unit_key, number)
    return name_as_text(case[unit_key], f"'{unit_key}' of case {number}")


def keys_of_sources(feature_keys: Mapping[str, str] | None) -> dict[str, str]:
    """Give for every source of features its key; None stands for ``{"features": "features"}``.

    Raises:
        TypeError: when it is no mapping.

    Example:
        >>> keys_of_sources(None)
        {'features': 'features'}
    """
    if not isinstance(feature_keys, Mapping | None):
        raise TypeError(
            f"Expected `feature_keys` to be a mapping of sources to keys, such as {{'features': 'features'}}, but "
            f"got {feature_keys!r}."
        )
    return {"features": "features"} if feature_keys is None else dict(feature_keys)


def names_of_units(units: Collection[object], what: str) -> set[str]:
    """Give the names of some units as text.

    Args:
        units: strings or whole numbers.
        what: what they are, for the message.

    Raises:
        TypeError: when it is one string, whose letters would be taken for names, or no collection.
        ValueError: when one of them is missing, or no name.

    Example:
        >>> sorted(names_of_units(["anna", 3], "`keep_apart`"))
        ['3', 'anna']
    """
    if isinstance(units, str | bytes):
        raise TypeError(f"Expected {what} to be a collection of names, but got the text {units!r}. Write [{units!r}].")
    if not isinstance(units, Collection):
        raise TypeError(f"Expected {what} to be a collection of names, such as ['anna', 'ben'], but got {units!r}.")
    return {name_as_text(unit, f"every name in {what}") for unit in units}


def _at(case: Mapping[Hashable, Any], key: str, number: int) -> torch.Tensor:
    return _tensor(_value(case, key, number), key, number)


def _value(case: Mapping[Hashable, Any], key: str, number: int) -> Any:
    if case.get(key) is None:
        raise KeyError(
            f"Expected '{key}' in case {number}, but got only "
            f"{sorted(str(k) for k, v in case.items() if v is not None)}. Name the right key, or add it to the data."
        )
    return case[key]


def _tensor(value: Any, key: str, number: int) -> torch.Tensor:
    if isinstance(value, MetaTensor):
        return value.as_tensor()
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return torch.as_tensor(value)
    raise TypeError(
        f"Expected '{key}' of case {number} to be a tensor or an array, but got {type(value).__name__} {value!r:.80}. "
        "Load it first, for example with LoadImaged."
    )
