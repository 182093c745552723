"""What nnU-Net's `dataset.json` and `plans.json` tell of a folder of its maps: classes or regions, and the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_rwcp.utils.json_documents import read_json

__all__ = ["NnunetFolder", "NnunetRegions", "nnunet_documents", "nnunet_folder"]


@dataclass(frozen=True)
class NnunetRegions:
    """Overlapping regions: what each channel of a map stands for.

    Args:
        labels: by the name of each region, in the order of the channels, the labels that it is made of.
        painted: the label that each region has in nnU-Net's segmentation, where no later one lies over it.
    """

    labels: Mapping[str, tuple[int, ...]]
    painted: tuple[int, ...]


@dataclass(frozen=True)
class NnunetFolder:
    """What the documents that belong to a folder of maps tell.

    Args:
        dataset: `dataset.json`; None where there is none.
        n_classes: how many classes softmax has; None for regions, or where nothing tells.
        regions: the regions; None for classes, or where nothing tells.
        reader: name of nnU-Net's reader; None where nothing tells.
        reader_from: the file that tells it.
    """

    dataset: Path | None = None
    n_classes: int | None = None
    regions: NnunetRegions | None = None
    reader: str | None = None
    reader_from: Path | None = None


def nnunet_folder(maps: Path) -> NnunetFolder:
    """Read what the documents of :py:func:`nnunet_documents` tell.

    Args:
        maps: the folder of the maps.

    Raises:
        ValueError: when a document is damaged or something else; the message names it.
    """
    files = nnunet_documents(maps)
    dataset, plans = files.get("dataset.json"), files.get("plans.json")
    labels: dict[str, int | tuple[int, ...]] = {} if dataset is None else _labels(dataset)
    told: dict[str, Any] = {}
    if dataset is not None:
        regions = _regions(dataset, labels)
        numbers = {number for of in labels.values() for number in (of if isinstance(of, tuple) else (of,))}
        n_classes = None if regions is not None else len(numbers)
        told = {"dataset": dataset, "n_classes": n_classes, "regions": regions}
    # The plans hold the reader that was at work; the other is what was wished for when they were made.
    for path, key in ((plans, "image_reader_writer"), (dataset, "overwrite_image_reader_writer")):
        reader = None if path is None else _document(path).get(key)
        if isinstance(reader, str) and reader != "None":
            return NnunetFolder(**told, reader=reader, reader_from=path)
    return NnunetFolder(**told)


def nnunet_documents(maps: Path) -> dict[str, Path]:
    """Find ``dataset.json`` and ``plans.json`` beside maps, or where nnU-Net keeps them for a ``validation`` folder.

    Returns:
        by their names, those that are there.
    """
    places = [maps.absolute()]
    if places[0].name == "validation" and places[0].parent.name.startswith("fold_"):
        places.append(places[0].parent.parent)
    paths = {name: [place / name for place in places] for name in ("dataset.json", "plans.json")}
    found = {name: next((path for path in of if path.is_file()), None) for name, of in paths.items()}
    return {name: path for name, path in found.items() if path is not None}


def _document(path: Path) -> dict[str, Any]:
    document = read_json(path, f"{path.name} of nnU-Net", "nnU-Net writes it beside its maps")
    if not isinstance(document, dict):
        raise ValueError(f"Expected '{path}' to be the one that nnU-Net writes, but it holds no names. {_PUT_BACK}")
    return document


def _labels(path: Path) -> dict[str, int | tuple[int, ...]]:
    """Labels of each name, without those that nnU-Net was told to ignore."""
    given = _document(path).get("labels")
    fits = isinstance(given, dict) and given and all(_is_label(v) for v in given.values())
    if not isinstance(given, dict) or not fits:
        raise ValueError(
            f"Expected 'labels' in '{path}' as nnU-Net v2 has them, such as {{\"background\": 0, \"organ\": 1}} or "
            f'{{..., "whole": [1, 2]}}, but got {given!r:.200}. {_PUT_BACK}'
        )
    return {name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if name != "ignore"}


def _is_label(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in values)


def _regions(path: Path, labels: Mapping[str, int | tuple[int, ...]]) -> NnunetRegions | None:
    """The regions, or None where no name has several labels, which are then classes."""
    if not any(isinstance(of, tuple) and len(of) > 1 for of in labels.values()):
        return None
    found = {name: of if isinstance(of, tuple) else (of,) for name, of in labels.items() if of not in (0, (0,))}
    painted = _document(path).get("regions_class_order")
    if not isinstance(painted, list) or len(painted) != len(found) or not all(_is_label(label) for label in painted):
        raise ValueError(
            f"Expected 'regions_class_order' in '{path}' to have a label for each of the regions {', '.join(found)}, "
            f"but got {painted!r:.200}. {_PUT_BACK}"
        )
    for (name, of), label in zip(found.items(), painted, strict=True):
        if label not in of:
            raise ValueError(
                f"'{path}' contradicts itself: by 'regions_class_order' the region {name} is painted as {label}, but "
                f"'labels' has it made of {', '.join(map(str, of))}. Regions stand in the order of the channels. "
                f"{_PUT_BACK}"
            )
    return NnunetRegions(found, tuple(painted))


_PUT_BACK = "Put back the file that nnU-Net wrote beside its maps, or take this one away."
