"""Making a score the way that tuning chose, as a MONAI transform."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends

from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.transforms.checks import output_keys_of
from monai_rwcp.transforms.scoring import add_score, made_score
from monai_rwcp.tune.cases import keys_of_sources
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.utils.document_source import DocumentSource

__all__ = ["TunedScore", "TunedScoreD", "TunedScoreDict", "TunedScored"]


class TunedScore(Transform):
    """Leave a probability map as it is, blur it, or let it walk: whatever tuning chose.

    Args:
        settings: a :py:class:`monai_rwcp.tune.TunedSettings`, or the path of one, which is read at call time.

    Raises:
        TypeError: when it is neither.

    Example:
        >>> import torch
        >>> from monai_rwcp.scores import BlurredScore
        >>> from monai_rwcp.tune import TunedSettings
        >>> settings = TunedSettings(BlurredScore(1.0), ("anna", "ben"), "patient", 0.1, "stretch", "it was best")
        >>> TunedScore(settings)(torch.rand(2, 8, 8)).shape
        torch.Size([2, 8, 8])
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, settings: TunedSettings | str | os.PathLike) -> None:
        self.source = DocumentSource("settings", TunedSettings, settings)

    def __call__(self, probabilities: NdarrayOrTensor, features: NdarrayOrTensor | None = None) -> NdarrayOrTensor:
        """Make the score of one map.

        Args:
            probabilities: float ``[C, *spatial]`` in [0, 1], one item without a batch dimension, 2D or 3D.
            features: float ``[F, *grid]`` of the same image, from the source that was tuned with; needed by a walk.

        Returns:
            the score: type, shape, dtype, device and meta data of ``probabilities``.

        Raises:
            FileNotFoundError: when there is no file of the settings.
            ValueError: when values or shapes do not fit, or a walk was chosen and there are no features.
        """
        return made_score(self.source.current().score, probabilities, features)


class TunedScored(MapTransform):
    """Dictionary-based wrapper of :py:class:`TunedScore`.

    For a walk it does and records what :py:class:`RandomWalkDiffusiond` with the same settings does; a blur is recorded
    beside the score, too, so that a calibration refuses scores that were made another way.

    Example:
        >>> TunedScored("pred", settings="settings.json").output_keys
        ('pred',)
    """

    backend = TunedScore.backend

    def __init__(
        self,
        keys: KeysCollection,
        settings: TunedSettings | str | os.PathLike,
        feature_keys: Mapping[str, str] | None = None,
        output_keys: KeysCollection | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        """
        Args:
            keys: keys of the probability maps.
            settings: see :py:class:`TunedScore`.
            feature_keys: for every source of features its key, as in tuning; only looked at for a walk. None takes
                ``{"features": "features"}``.
            output_keys: where the scores go; None replaces the maps.
            allow_missing_keys: whether missing keys are passed over.

        Raises:
            TypeError: when the settings are neither TunedSettings nor a path, or ``feature_keys`` is no mapping.
            ValueError: when the numbers of keys differ.
        """
        super().__init__(keys, allow_missing_keys)
        self.converter = TunedScore(settings)
        self.feature_keys = keys_of_sources(feature_keys)
        self.output_keys = self.keys if output_keys is None else output_keys_of(self.keys, output_keys)

    def feature_key(self, walk: WalkedScore) -> str:
        """Tell where the features lie that a walk was tuned with.

        Raises:
            ValueError: when their source has no key.
        """
        if walk.source not in self.feature_keys:
            raise ValueError(
                f"Tuning chose a walk by the features '{walk.source}', but `feature_keys` names only "
                f"{sorted(self.feature_keys)}. Say where they are: feature_keys={{'{walk.source}': key}}."
            )
        return self.feature_keys[walk.source]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make the score of the map under each key.

        Raises:
            KeyError: when a key or the features are not there.
            ValueError: when the source of a chosen walk has no key, or a map does not fit.
        """
        d = dict(data)
        score = self.converter.source.current().score
        feature_key = self.feature_key(score) if isinstance(score, WalkedScore) else None
        for key, output_key in self.key_iterator(d, self.output_keys):
            add_score(d, score, (key, feature_key, output_key))
        return d


TunedScoreD = TunedScoreDict = TunedScored
