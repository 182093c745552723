"""Turning a score into a prediction set with a calibrated threshold, as a MONAI transform."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type, ensure_tuple_rep

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.prediction_set import prediction_set
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.provenance.score_maps import record_of
from monai_rwcp.transforms.checks import check_item, group_and_weight, output_keys_of
from monai_rwcp.transforms.matching import check_matches_calibration
from monai_rwcp.utils.document_source import DocumentSource
from monai_rwcp.utils.score_range import check_no_mask

__all__ = ["ConformalThreshold", "ConformalThresholdD", "ConformalThresholdDict", "ConformalThresholdd"]


class ConformalThreshold(Transform):
    r"""Take the prediction set of each calibrated class: the voxels whose score reaches the class's threshold.

    .. math:: C_c = \{x : s_c(x) \ge 1 - \hat\lambda_c\}

    Args:
        calibration: a :py:class:`Calibration` or the path of one. A file is read when the transform is called, so a
            chain can be built before it exists, and read again when it has changed.

    Raises:
        TypeError: when ``calibration`` is neither.

    Source: arXiv 2208.02814; RW-CP, arXiv 2601.18997 (step 6).

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import LossTable, calibrate, false_negative_rate_table
        >>> score, label = torch.tensor([[[0.4, 0.9]], [[0.6, 0.1]]]), torch.tensor([[[1, 0]]])
        >>> from monai_rwcp.provenance import ScoreRecord, completed_record
        >>> made = completed_record(score, ScoreRecord())
        >>> table = LossTable.join(
        ...     false_negative_rate_table(score, label, unit=str(i), provenance=made) for i in range(20))
        >>> ConformalThreshold(calibrate(table))(score).dtype
        torch.uint8
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, calibration: Calibration | str | os.PathLike) -> None:
        self.source = DocumentSource("calibration", Calibration, calibration)

    def __call__(
        self,
        score: NdarrayOrTensor,
        record: ScoreRecord = UNRECORDED,
        group: str | None = None,
        weight: float | None = None,
    ) -> NdarrayOrTensor:
        """Threshold one score map.

        Args:
            score: float ``[C, *spatial]`` in [0, 1], one item without a batch dimension.
            record: how it was made, see :py:func:`monai_rwcp.provenance.record_of`; left out for a score
                without a record.
            group: the unit's group, for a calibration by groups.
            weight: the unit's weight, for a weighted calibration.

        Returns:
            uint8 ``[C, *spatial]`` of 0 and 1 in the type of ``score``, with its meta data; channels that were not
            calibrated are 0.

        Raises:
            ValueError: when the score was made another way than the calibrated ones (the message names the field),
                has other classes, or is not a score, or when its group is missing or was not seen at calibration.
        """
        check_item(score)
        calibration = self.source.current()
        check_matches_calibration(score, record, calibration)
        tensor, *_ = convert_data_type(score, torch.Tensor)
        found = prediction_set(tensor, calibration, group=group, weight=weight)
        check_no_mask(tensor)
        result, *_ = convert_to_dst_type(found, score, dtype=torch.uint8)
        return result


class ConformalThresholdd(MapTransform):
    """Dictionary-based wrapper of :py:class:`ConformalThreshold`; the score stays where it is.

    Example:
        >>> ConformalThresholdd("pred", calibration="calibration.json").output_keys
        ('pred_set',)
    """

    backend = ConformalThreshold.backend

    def __init__(
        self,
        keys: KeysCollection,
        calibration: Calibration | str | os.PathLike | Sequence[Calibration | str | os.PathLike],
        output_keys: KeysCollection | None = None,
        group_key: str | None = None,
        weight_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        """
        Args:
            keys: keys of the scores.
            calibration: the calibration of each score, or one for all; a :py:class:`Calibration` or a path.
            output_keys: where the sets go; None writes them under ``<key>_set``.
            group_key: key of the unit's group, for a calibration by groups.
            weight_key: key of the unit's weight, for a weighted calibration.
            allow_missing_keys: whether missing keys are passed over.

        Raises:
            TypeError: when a calibration is neither a Calibration nor a path.
            ValueError: when the numbers of keys differ, or a set would overwrite its score.
        """
        super().__init__(keys, allow_missing_keys)
        self.converters = [ConformalThreshold(c) for c in ensure_tuple_rep(calibration, len(self.keys))]
        named = tuple(f"{key}_set" for key in self.keys) if output_keys is None else output_keys
        self.output_keys = output_keys_of(self.keys, named)
        self.group_key, self.weight_key = group_key, weight_key
        if set(self.output_keys) & set(self.keys):
            raise ValueError(
                f"output_keys must differ from keys, so that no score is lost, but are {self.output_keys}."
            )

    def __repr__(self) -> str:
        return f"ConformalThresholdd({self.keys}: {[converter.source.given for converter in self.converters]})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the prediction set of each key."""
        d = dict(data)
        group, weight = group_and_weight(d, self.group_key, self.weight_key)
        for key, converter, output_key in self.key_iterator(d, self.converters, self.output_keys):
            try:
                d[output_key] = converter(d[key], record_of(d, key), group, weight)
            except ValueError as error:
                raise ValueError(f"Key '{key}': {error}") from error
        return d


ConformalThresholdD = ConformalThresholdDict = ConformalThresholdd
