"""The record that a chain will write, as far as that can be read from its transforms."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from monai.transforms import Invertd, Spacingd

from monai_rwcp.deployment.findings import NOT_KNOWN
from monai_rwcp.deployment.parts import DeployedParts
from monai_rwcp.handlers.forward_features import ForwardFeaturesHandler
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.provenance.score_maps import features_record
from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.transforms.dense_features import DenseFeaturesd
from monai_rwcp.transforms.network_provenance import NetworkProvenanced
from monai_rwcp.transforms.random_walk_diffusion import RandomWalkDiffusiond
from monai_rwcp.transforms.tuned_score import TunedScored

__all__ = ["planned_record"]

_GEOMETRY = ("monai.transforms.spatial.", "monai.transforms.croppad.")


def planned_record(parts: DeployedParts, key: Hashable, axes: int | None) -> ScoreRecord:
    """Foretell the record of a score; ``NOT_KNOWN`` stands for what only a run tells, such as the dtype.

    Args:
        parts: the deployment.
        key: key of the score.
        axes: number of spatial axes of its images; None when it is not known.

    Raises:
        OSError: when the settings file of a `TunedScored` is missing.
        ValueError: when it is not whole.

    Example:
        >>> import torch
        >>> from monai.inferers import SimpleInferer
        >>> network = torch.nn.Conv2d(1, 2, 1)
        >>> chain = (NetworkProvenanced("pred", network),)
        >>> record = planned_record(DeployedParts(network, SimpleInferer(), (), chain, ()), "pred", 2)
        >>> sorted(record.to_json()), record.side is NOT_KNOWN
        (['dtype', 'network', 'side', 'spacing'], True)
    """
    spacing = _planned_spacing(parts.preprocessing, axes)
    moved = any(_module(t).startswith(_GEOMETRY) for t in parts.preprocessing)
    # Features of the forward pass are named when it runs.
    forward = any(isinstance(handler, ForwardFeaturesHandler) for handler in parts.handlers)
    features: dict[Hashable, Any] = {}
    records: dict[Hashable, ScoreRecord] = {}
    inverted: set[Hashable] = set()

    def side(name: Hashable) -> Any:
        return "original" if name in inverted else "processed" if moved else NOT_KNOWN

    def size(name: Hashable) -> Any:
        return NOT_KNOWN if name in inverted else spacing

    def made(score: Score, name: Hashable, feature_key: Hashable) -> ScoreRecord:
        return score.record(
            records.get(name, UNRECORDED),
            side=side(name),
            spacing=size(name),
            features=features.get(feature_key, NOT_KNOWN if forward else None),
        )

    for transform in parts.postprocessing:
        if isinstance(transform, NetworkProvenanced):
            records |= {name: replace(transform.record(), spacing=size(name)) for name in transform.keys}
        elif isinstance(transform, DenseFeaturesd):
            features |= dict.fromkeys(transform.output_keys, features_record(transform.converter.extractor.name))
        elif isinstance(transform, RandomWalkDiffusiond):
            for name, feature_key, output in zip(
                transform.keys, transform.feature_keys, transform.output_keys, strict=True
            ):
                records[output] = made(transform.converter.score, name, feature_key)
        elif isinstance(transform, TunedScored):
            score = transform.converter.source.current().score
            feature_key = transform.feature_key(score) if isinstance(score, WalkedScore) else None
            for name, output in zip(transform.keys, transform.output_keys, strict=True):
                records[output] = made(score, name, feature_key)
        elif isinstance(transform, Invertd):
            inverted |= set(transform.keys)
    return replace(records.get(key, UNRECORDED), dtype=NOT_KNOWN, side=side(key))


def _planned_spacing(preprocessing: tuple[Any, ...], axes: int | None) -> Any:
    """Voxel size that the last Spacingd asks for, unless something after it may change it again."""
    for transform in reversed(preprocessing):
        if isinstance(transform, Spacingd):
            asked = transform.spacing_transform
            sizes = [float(size) for size in asked.pixdim]
            at_will = not np.isnan([*asked.min_pixdim, *asked.max_pixdim]).all()
            known = axes is not None and len(sizes) >= axes and min(sizes[:axes]) > 0 and not at_will
            return sizes[:axes] if known else NOT_KNOWN
        if _module(transform).startswith(_GEOMETRY[0]) or not _module(transform).startswith("monai."):
            return NOT_KNOWN
    return NOT_KNOWN


def _module(transform: Any) -> str:
    return type(transform).__module__
