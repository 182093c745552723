"""The parts of a deployment that make its scores and sets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from monai.transforms import Compose

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.transforms.conformal_sandwich import ConformalSandwichd
from monai_rwcp.transforms.conformal_threshold import ConformalThresholdd
from monai_rwcp.utils.document_source import DocumentSource

__all__ = ["DeployedParts", "PlacedThreshold", "flat_transforms", "placed_thresholds"]


@dataclass(frozen=True)
class DeployedParts:
    """What an evaluator is made of, as far as its scores depend on it.

    Args:
        network: the network; None where the evaluator has several.
        inferer: what takes images through it.
        preprocessing: the transforms of the image, in their order.
        postprocessing: the transforms of the prediction, in their order.
        handlers: the evaluator's handlers.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> DeployedParts(torch.nn.Identity(), SimpleInferer(), (), (), ()).handlers
        ()
    """

    network: torch.nn.Module | None
    inferer: Callable[..., Any]
    preprocessing: tuple[Any, ...]
    postprocessing: tuple[Any, ...]
    handlers: tuple[Any, ...]


@dataclass(frozen=True)
class PlacedThreshold:
    """A transform that makes sets of one score.

    Args:
        index: its place in the post-processing.
        key: key of the score.
        transform: the transform.
        sources: where its calibrations come from; a sandwich has two.
    """

    index: int
    key: Hashable
    transform: ConformalThresholdd | ConformalSandwichd
    sources: tuple[DocumentSource[Calibration], ...]


def flat_transforms(chain: Any) -> tuple[Any, ...]:
    """The transforms of a chain, nested ones unfolded.

    Args:
        chain: a `Compose`, a list of transforms, one transform, or None.

    Example:
        >>> from monai.transforms import Flip, Zoom
        >>> [type(t).__name__ for t in flat_transforms(Compose([Flip(0), Compose([Zoom(2.0)])]))]
        ['Flip', 'Zoom']
    """
    if chain is None:
        return ()
    if type(chain) is Compose:
        chain = list(chain.transforms)
    return tuple(t for part in chain for t in flat_transforms(part)) if isinstance(chain, list | tuple) else (chain,)


def placed_thresholds(transforms: tuple[Any, ...]) -> Iterator[PlacedThreshold]:
    """Find the transforms that make sets.

    Example:
        >>> [placed.key for placed in placed_thresholds((ConformalThresholdd("pred", "calibration.json"),))]
        ['pred']
    """
    for index, transform in enumerate(transforms):
        if isinstance(transform, ConformalThresholdd):
            for key, converter in zip(transform.keys, transform.converters, strict=True):
                yield PlacedThreshold(index, key, transform, (converter.source,))
        elif isinstance(transform, ConformalSandwichd):
            both = transform.converter
            for key in transform.keys:
                yield PlacedThreshold(index, key, transform, (both.outer, both.inner))
