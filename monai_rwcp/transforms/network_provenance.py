"""Beginning a score's record with the segmentation network that made it, as a MONAI transform."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_rwcp.provenance.inferers import flips_record, inferer_record
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.provenance.score_maps import map_spacing, provenance_key
from monai_rwcp.provenance.weights import weights_hash

__all__ = ["NetworkProvenanceD", "NetworkProvenanceDict", "NetworkProvenanced"]


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

    def record(self) -> ScoreRecord:
        """What is told of the network and its inferer, as they are now."""
        return ScoreRecord(
            network=weights_hash(self.network),
            inferer=None if self.inferer is None else inferer_record(self.inferer),
            flips=None if self.flips is None else [list(axes) for axes in self.flips],
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the record of each key under ``<key>_provenance``."""
        d = dict(data)
        for key in self.key_iterator(d):
            d[provenance_key(key)] = replace(self.record(), spacing=map_spacing(d[key])).to_json()
        return d


NetworkProvenanceD = NetworkProvenanceDict = NetworkProvenanced
