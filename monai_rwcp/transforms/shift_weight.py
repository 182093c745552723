"""Weighing a case by how much more often its like is met where a calibration is to be used, as a MONAI transform."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type

from monai_rwcp.conformal.promises.density_ratio import DensityRatio
from monai_rwcp.transforms.checks import check_item, output_keys_of
from monai_rwcp.utils.document_source import DocumentSource

__all__ = ["ShiftWeight", "ShiftWeightD", "ShiftWeightDict", "ShiftWeightd"]


class ShiftWeight(Transform):
    """Compute the weight of one image from the mean of its dense features, where an image is a unit of its own.

    A patient with several images has one weight, at the mean features of all of them: compute that with
    :py:meth:`monai_rwcp.conformal.DensityRatio.weight` and put it into the data list. Weights that differ between the
    images of a unit are refused by the calibration.

    Args:
        ratio: a :py:class:`monai_rwcp.conformal.DensityRatio`, or the path of one, which is read at call time.

    Raises:
        TypeError: when it is neither.

    Example:
        >>> ratio = DensityRatio(means=(0.0,), scales=(1.0,), coefficients=(2.0,), intercept=0.0)
        >>> ShiftWeight(ratio)(torch.zeros(1, 4, 4))
        1.0
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, ratio: DensityRatio | str | os.PathLike) -> None:
        self.source = DocumentSource("ratio", DensityRatio, ratio)

    def __call__(self, features: NdarrayOrTensor) -> float:
        """Weigh one image.

        Args:
            features: float ``[F, *grid]``.

        Returns:
            the weight, above 0.

        Raises:
            FileNotFoundError: when there is no file of the ratio.
            ValueError: when the features are not those that the ratio was fitted on.
        """
        check_item(features)
        values, *_ = convert_data_type(features, torch.Tensor)
        return self.source.current().weight(values.double().flatten(1).mean(dim=1).cpu().numpy())


class ShiftWeightd(MapTransform):
    """Dictionary-based wrapper of :py:class:`ShiftWeight`.

    Example:
        >>> ShiftWeightd("features", ratio="ratio.json").output_keys
        ('weight',)
    """

    backend = ShiftWeight.backend

    def __init__(
        self,
        keys: KeysCollection,
        ratio: DensityRatio | str | os.PathLike,
        output_keys: KeysCollection = "weight",
        allow_missing_keys: bool = False,
    ) -> None:
        """
        Args:
            keys: keys of the features.
            ratio: see :py:class:`ShiftWeight`.
            output_keys: where the weights go. Defaults to "weight".
            allow_missing_keys: whether missing keys are passed over.

        Raises:
            TypeError: when the ratio is neither a DensityRatio nor a path.
            ValueError: when the numbers of keys differ.
        """
        super().__init__(keys, allow_missing_keys)
        self.converter = ShiftWeight(ratio)
        self.output_keys = output_keys_of(self.keys, output_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the weight of each key's image."""
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            try:
                d[output_key] = self.converter(d[key])
            except ValueError as error:
                raise ValueError(f"Key '{key}': {error}") from error
        return d


ShiftWeightD = ShiftWeightDict = ShiftWeightd
