"""How a score was made: the record that travels beside it in the data dictionary."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform

from monai_rwcp.conformal import UNRECORDED
from monai_rwcp.features import weights_hash
from monai_rwcp.transforms.inferer_record import flips_record, inferer_record

__all__ = [
    "NetworkProvenanceD",
    "NetworkProvenanceDict",
    "NetworkProvenanced",
    "map_spacing",
    "provenance_key",
    "score_provenance",
]


def provenance_key(key: Hashable) -> str:
    """Where the record of the map under ``key`` lies.

    It lies beside the map and not in its meta data, because `Invertd` replaces those.

    Example:
        >>> provenance_key("pred")
        'pred_provenance'
    """
    return f"{key}_provenance"


def score_provenance(score: NdarrayOrTensor, record: Mapping[str, Any] | None) -> dict[str, Any]:
    """Complete the record of a score with what can be read from the score itself.

    Args:
        score: the score map ``[C, *spatial]``.
        record: the record that travelled with it, or None.

    Returns:
        the record (or "unrecorded"), with ``dtype`` and ``side``: ``"original"`` when the score lies on the grid of
        the file the image was loaded from, ``"processed"`` when it lies on another or has transforms to be inverted
        (before `Invertd`), ``"unknown"`` when it carries no meta data to tell.

    Example:
        >>> import torch
        >>> score_provenance(torch.rand(2, 4, 4), None)
        {'record': 'unrecorded', 'dtype': 'float32', 'side': 'unknown'}
    """
    made = UNRECORDED if record is None else record
    return {**made, "dtype": str(score.dtype).removeprefix("torch."), "side": grid_side(score)}


def grid_side(score: NdarrayOrTensor) -> str:
    """Which side of `Invertd` a map is on, read from its meta data; see :py:func:`score_provenance`."""
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
    return "original" if same_shape and np.allclose(now, then, rtol=1e-4, atol=1e-4) else "processed"


def map_spacing(value: NdarrayOrTensor) -> list[float] | None:
    """Voxel size of a map along each spatial axis in mm, or None where it carries no affine."""
    if not isinstance(value, MetaTensor):
        return None
    return [float(size) for size in value.pixdim[: value.ndim - 1]]


class NetworkProvenanced(MapTransform):
    """Begin a score's record with the segmentation network that made it.

    Put it before `RandomWalkDiffusiond` (or, without a walk, before `Invertd`). A calibration made with it refuses the
    scores of a network with other weights. It changes no map.

    Args:
        keys: keys of the maps the network made.
        network: the network; its weights are hashed at call time, so a checkpoint may be loaded after the chain is
            built.
        inferer: the evaluator's inferer: its class and all options that change values (window, overlap, blending,
            padding) are recorded, see :py:func:`inferer_record`. None records nothing of it.
        flips: for each flipped copy of the image that was averaged into the map, the spatial axes it was flipped
            along, such as ``[[0], [1], [0, 1]]``; ``[]`` says that there were none. No inferer of MONAI flips: take it
            from the same variable as whatever does. None records nothing of it.
        allow_missing_keys: whether missing keys are passed over.

    Raises:
        TypeError: when ``network`` is not a `torch.nn.Module`, or ``inferer`` cannot be called.
        ValueError: when ``flips`` are no spatial axes.

    Example:
        >>> from monai.inferers import SlidingWindowInferer
        >>> transform = NetworkProvenanced("pred", torch.nn.Conv2d(1, 2, 1), SlidingWindowInferer((64, 64)))
        >>> transform({"pred": torch.rand(2, 4, 4)})["pred_provenance"]["inferer"]["overlap"]
        0.25
    """

    def __init__(
        self,
        keys: KeysCollection,
        network: torch.nn.Module,
        inferer: Callable[..., Any] | None = None,
        flips: Sequence[int | Sequence[int]] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not isinstance(network, torch.nn.Module):
            raise TypeError(f"network must be a torch.nn.Module but is {type(network).__name__}.")
        if inferer is not None:
            inferer_record(inferer)
        self.network, self.inferer = network, inferer
        self.flips = None if flips is None else flips_record(flips)

    def record(self) -> dict[str, Any]:
        """What is told of the network and its inferer, as they are now."""
        record: dict[str, Any] = {"network": weights_hash(self.network)}
        if self.inferer is not None:
            record["inferer"] = inferer_record(self.inferer)
        if self.flips is not None:
            record["flips"] = [list(axes) for axes in self.flips]
        return record

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the record of each key under ``<key>_provenance``."""
        d = dict(data)
        for key in self.key_iterator(d):
            record = self.record()
            spacing = map_spacing(d[key])
            if spacing is not None:
                record["spacing"] = spacing
            d[provenance_key(key)] = record
        return d


NetworkProvenanceD = NetworkProvenanceDict = NetworkProvenanced
