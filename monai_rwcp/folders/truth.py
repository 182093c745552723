"""What the labels of a folder of maps are, and reading one: class numbers, or the regions that dataset.json tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor

from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.folders.forms import MapForm, label_mode_of
from monai_rwcp.folders.maps import read_grid_file
from monai_rwcp.folders.nnunet_documents import nnunet_folder

__all__ = ["TruthForm", "read_truth", "truth_form", "truth_form_of_sets"]


@dataclass(frozen=True)
class TruthForm:
    """What the labels of some cases are.

    Args:
        mode: what they become.
        regions: by the name of each region, in the order of the channels, the labels it is made of; None where a label
            is taken as it is.
    """

    mode: LabelMode
    regions: Mapping[str, tuple[int, ...]] | None = None

    @property
    def names(self) -> list[str] | None:
        """Names of the channels; None where nothing tells them."""
        return None if self.regions is None else list(self.regions)

    def check_same(self, calibration: Calibration, where: Path) -> None:
        """Refuse maps of classes for a calibration of regions, the other way round, and regions in another order.

        Raises:
            ValueError: when they do not fit.
        """
        names, kinds = calibration.class_names, {"regions": "overlapping regions", "index": "classes"}
        calibrated, own = calibration.counting.label_mode, self.names or []
        # A user may have given names of their own.
        moved = names is not None and list(names) != own and sorted(names) == sorted(own)
        if calibrated != self.mode or moved:
            raise ValueError(
                f"The calibration is of {kinds.get(calibrated, calibrated)}{_listed(names)}, but the maps in '{where}' "
                f"are of {kinds[self.mode]}{_listed(self.names)}: they are of another network."
            )


def truth_form(form: MapForm, maps: Iterable[Path]) -> TruthForm:
    """What the labels that belong to maps are.

    Args:
        form: of the maps.
        maps: the files.

    Raises:
        ValueError: when the documents beside the maps are damaged, or tell of different regions.
    """
    if form != "nnunet":
        return TruthForm(label_mode_of(form))
    told = {folder: nnunet_folder(folder).regions for folder in {path.parent: None for path in maps}}
    found = {folder: None if of is None else of.labels for folder, of in told.items()}
    first = next(iter(found), None)
    for folder, labels in found.items():
        if first is not None and _ordered(labels) != _ordered(found[first]):
            raise ValueError(
                f"Expected maps of one network, but by their dataset.json those in '{first}' and '{folder}' are of "
                "different regions. Take each network by itself."
            )
    regions = None if first is None else found[first]
    return TruthForm("index" if regions is None else "regions", regions)


def truth_form_of_sets(calibration: Calibration, log: Mapping[str, Any] | None) -> TruthForm:
    """What the labels that belong to prediction sets are.

    Args:
        calibration: what the sets were made with.
        log: that of predict, beside them; None where there is none.

    Raises:
        ValueError: when the log tells of regions that are none.
    """
    regions = None if log is None else log["made_with"].get("regions")
    if regions is None:
        return TruthForm(calibration.counting.label_mode)
    fits = isinstance(regions, dict) and all(
        isinstance(of, list) and all(type(label) is int for label in of) for of in regions.values()
    )
    if not fits:
        raise ValueError(f"Expected regions in the log beside the sets, but got {regions!r:.200}. Make the sets anew.")
    return TruthForm("regions", {name: tuple(of) for name, of in regions.items()})


def read_truth(path: Path, like: MetaTensor, of: TruthForm, warned: set[tuple[str, str]]) -> MetaTensor:
    """Read the label of a map or a set.

    Args:
        path: a NIfTI file.
        like: the map, or the set.
        of: what the labels are.
        warned: see :py:func:`monai_rwcp.folders.read_grid_file`.

    Returns:
        ``[1, *spatial]`` class numbers, or of regions ``[C, *spatial]`` zeros and ones.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when it cannot be read, lies on another grid, or holds labels of no region.
    """
    label = read_grid_file(path, like, what="label", warned=warned)
    if of.regions is None:
        if of.mode == "regions" and like.shape[0] > 1:
            raise ValueError(
                f"'{path}' is one map of labels, but the sets are of {like.shape[0]} overlapping regions, and nothing "
                "tells which labels each is made of: give the folder as predict wrote it, with its run.json."
            )
        return label
    known = {0, *(number for numbers in of.regions.values() for number in numbers)}
    other = label[~torch.isin(label, torch.tensor(sorted(known), dtype=label.dtype))]
    if len(other):
        raise ValueError(
            f"'{path}' holds {float(other[0]):g}, of which no region is made: {_listed(of.regions)[2:]}. Map it to one "
            "of their labels, or to 0."
        )
    masks = [torch.isin(label, torch.tensor(of_one, dtype=label.dtype)) for of_one in of.regions.values()]
    return MetaTensor(torch.cat(masks).to(label.dtype), meta=label.meta)


def _ordered(regions: Mapping[str, tuple[int, ...]] | None) -> list[tuple[str, tuple[int, ...]]] | None:
    return None if regions is None else list(regions.items())


def _listed(names: Iterable[str] | Mapping[str, tuple[int, ...]] | None) -> str:
    if isinstance(names, Mapping):
        return ": " + ", ".join(f"{name} of {', '.join(map(str, of))}" for name, of in names.items())
    return "" if names is None else f" ({', '.join(names)})"
