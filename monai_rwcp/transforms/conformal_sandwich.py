"""Turning a score into an inner and an outer set, as a MONAI transform."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.sandwich import conformal_sandwich
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.provenance.score_maps import record_of
from monai_rwcp.transforms.checks import check_item, group_and_weight
from monai_rwcp.transforms.matching import check_matches_calibration
from monai_rwcp.utils.document_source import DocumentSource
from monai_rwcp.utils.score_range import check_no_mask

__all__ = ["ConformalSandwich", "ConformalSandwichD", "ConformalSandwichDict", "ConformalSandwichd"]


class ConformalSandwich(Transform):
    r"""Take, for each calibrated class, what is surely the class and everything that may be.

    .. math:: C_{in} = \{x : s(x) \ge \max(t_{in}, t_{out})\} \subseteq C_{out} = \{x : s(x) \ge t_{out}\}

    Args:
        inner: a calibration of the loss ``"inner"`` (or ``"false_discovery"``), or the path of one.
        outer: a calibration of a loss of what the set misses, such as ``"fnr"``, or the path of one. Two
            `ConformalCalibrationHandler` on one evaluator make both in one run.

    Raises:
        TypeError: when a calibration is neither.

    Example:
        >>> ConformalSandwich("inner.json", "outer.json").outer.given
        'outer.json'
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        inner: Calibration | str | os.PathLike,
        outer: Calibration | str | os.PathLike,
    ) -> None:
        self.inner = DocumentSource("inner", Calibration, inner)
        self.outer = DocumentSource("outer", Calibration, outer)

    def __call__(
        self,
        score: NdarrayOrTensor,
        record: ScoreRecord = UNRECORDED,
        group: str | None = None,
        weight: float | None = None,
    ) -> tuple[NdarrayOrTensor, NdarrayOrTensor, NdarrayOrTensor]:
        """Make both sets of one score map.

        Args:
            score: float ``[C, *spatial]`` in [0, 1], one item without a batch dimension.
            record: how it was made; left out for a score without a record.
            group: the unit's group, for calibrations by groups.
            weight: the unit's weight, for weighted calibrations.

        Returns:
            the inner set and the outer set, uint8 ``[C, *spatial]``, and the voxels that may be more than one class,
            uint8 ``[1, *spatial]``, in the type of ``score``, with its meta data.

        Raises:
            ValueError: when the score was made another way than the calibrated ones, or the calibrations do not fit
                each other or the score.
        """
        check_item(score)
        inner, outer = self.inner.current(), self.outer.current()
        for calibration in (inner, outer):
            check_matches_calibration(score, record, calibration)
        tensor, *_ = convert_data_type(score, torch.Tensor)
        sets = conformal_sandwich(tensor, inner, outer, group=group, weight=weight)
        check_no_mask(tensor)
        in_type, out_type, uncertain = (convert_to_dst_type(s, score, dtype=torch.uint8)[0] for s in sets)
        return in_type, out_type, uncertain


class ConformalSandwichd(MapTransform):
    """Dictionary-based wrapper of :py:class:`ConformalSandwich`; writes ``<key>_inner``, ``<key>_outer`` and
    ``<key>_uncertain``, and leaves the score where it is.

    Example:
        >>> ConformalSandwichd("pred", inner="inner.json", outer="outer.json").keys
        ('pred',)
    """

    backend = ConformalSandwich.backend

    def __init__(
        self,
        keys: KeysCollection,
        inner: Calibration | str | os.PathLike,
        outer: Calibration | str | os.PathLike,
        group_key: str | None = None,
        weight_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        """
        Args:
            keys: keys of the scores.
            inner, outer: see :py:class:`ConformalSandwich`.
            group_key: key of the unit's group, for calibrations by groups.
            weight_key: key of the unit's weight, for weighted calibrations.
            allow_missing_keys: whether missing keys are passed over.

        Raises:
            TypeError: when a calibration is neither a Calibration nor a path.
        """
        super().__init__(keys, allow_missing_keys)
        self.converter = ConformalSandwich(inner, outer)
        self.group_key, self.weight_key = group_key, weight_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the sets of each key."""
        d = dict(data)
        group, weight = group_and_weight(d, self.group_key, self.weight_key)
        for key in self.key_iterator(d):
            try:
                sets = self.converter(d[key], record_of(d, key), group, weight)
            except ValueError as error:
                raise ValueError(f"Key '{key}': {error}") from error
            for name, one in zip(("inner", "outer", "uncertain"), sets, strict=True):
                d[f"{key}_{name}"] = one
        return d


ConformalSandwichD = ConformalSandwichDict = ConformalSandwichd
