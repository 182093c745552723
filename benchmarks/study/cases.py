"""The cases of the study: probabilities of a base network, truth, image and features, one case at a time."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import UNet

from benchmarks.common.evaluation import probabilities_of
from benchmarks.data.acdc import (
    CLASS_NAMES,
    DECODER_LAYERS,
    LoadSlice,
    load_network,
    n_seen,
    slice_items,
    unseen_patients,
)
from benchmarks.data.hippocampus import CLASS_NAMES as HIPPOCAMPUS_NAMES
from benchmarks.data.hippocampus import LAYERS, preprocessing, subjects, train, untrained_network
from monai_rwcp import CachedFeatures, ExportedFeatures, FeatureExtractor, NetworkFeatures

__all__ = ["STRENGTHS", "CaseInfo", "StudyCase", "StudySet", "acdc_slices", "acdc_volumes", "hippocampus"]

# Training subjects and epochs of the two hippocampus networks.
STRENGTHS = {"weak": (2, 30), "middling": (4, 100)}


@dataclass(frozen=True)
class CaseInfo:
    """What is known of a case before it is loaded.

    Args:
        name: a name that no other case of the set has.
        unit: the patient.
        position: where a slice lies in its volume, from 0 (first) to 1 (last); nan for volumes.
    """

    name: str
    unit: str
    position: float


@dataclass(frozen=True)
class StudyCase:
    """One case, loaded.

    Args:
        probabilities: softmax ``[C, *spatial]``.
        label: class numbers ``[1, *spatial]``.
        image: ``[1, *spatial]`` in [0, 1].
        features: ``[F, *grid]`` by name of their source.
        spacing: voxel size in mm along each axis, or None where it is not known.
    """

    probabilities: torch.Tensor
    label: torch.Tensor
    image: torch.Tensor
    features: Mapping[str, torch.Tensor]
    spacing: list[float] | None


@dataclass(frozen=True)
class StudySet:
    """A data set seen by one base network.

    Args:
        name: for tables and file names.
        class_names: by channel.
        unit_of_length: "px", "voxels" where slices lie an unknown way apart, or "mm".
        infos: all cases of patients that the network has not seen.
        load: loads one of them.
        sources: names of the feature sources.
    """

    name: str
    class_names: tuple[str, ...]
    unit_of_length: str
    infos: tuple[CaseInfo, ...]
    load: Callable[[CaseInfo], StudyCase]
    sources: tuple[str, ...]

    @property
    def units(self) -> list[str]:
        """The patients."""
        return sorted({info.unit for info in self.infos})

    def cases(self) -> Iterator[tuple[CaseInfo, StudyCase]]:
        """All cases, loaded one by one."""
        return ((info, self.load(info)) for info in self.infos)


def acdc_slices(data: Path, weights: Path, encoder: Path, cache: Path, slices: int | None) -> StudySet:
    """ACDC as 2D slices of 224 x 224, with LiteMedSAM's features and the segmentation network's own."""
    network = load_network(weights)
    extractors: dict[str, FeatureExtractor] = {
        "LiteMedSAM": CachedFeatures(ExportedFeatures(encoder), cache, dtype="float16"),
        "network's own": NetworkFeatures(network, DECODER_LAYERS),
    }
    items: dict[str, dict[Any, Any]] = {
        item["case"]: item for item in slice_items(data, unseen_patients(data, weights), slices)
    }
    depths: dict[str, int] = {}
    for item in slice_items(data, unseen_patients(data, weights), None):
        depths[item["volume"]] = item["slice"] + 1
    read = LoadSlice()

    def load(info: CaseInfo) -> StudyCase:
        item: dict[Any, Any] = read(items[info.name])
        features = {source: extractor(item["image"]) for source, extractor in extractors.items()}
        return StudyCase(probabilities_of(network, item["image"]), item["label"], item["image"], features, None)

    infos = tuple(
        CaseInfo(name, item["patient"], item["slice"] / max(depths[item["volume"]] - 1, 1))
        for name, item in items.items()
    )
    name = f"ACDC slices, {n_seen(weights)}-patient network"
    return StudySet(name, CLASS_NAMES, "px", infos, load, tuple(extractors))


def acdc_volumes(data: Path, weights: Path) -> StudySet:
    """ACDC as volumes of all their slices, with the features of the 2D segmentation network.

    One volume of each patient, the first frame (end-diastole): the other would double the hours, and no patient more.
    """
    network = load_network(weights)
    extractor = NetworkFeatures(network, DECODER_LAYERS, slice_axis=2)
    volumes: dict[str, list[dict[Any, Any]]] = {}
    for item in slice_items(data, unseen_patients(data, weights), None):
        stem = Path(item["volume"]).stem
        if stem.endswith("_frame01"):
            volumes.setdefault(stem, []).append(item)
    read = LoadSlice()

    def load(info: CaseInfo) -> StudyCase:
        loaded: list[dict[Any, Any]] = [read(item) for item in volumes[info.name]]
        image, label = (torch.stack([one[key] for one in loaded], dim=-1) for key in ("image", "label"))
        probabilities = torch.stack([probabilities_of(network, one["image"]) for one in loaded], dim=-1)
        return StudyCase(probabilities, label, image, {"network's own": extractor(image)}, None)

    infos = tuple(CaseInfo(name, items[0]["patient"], float("nan")) for name, items in volumes.items())
    name = f"ACDC volumes, {n_seen(weights)}-patient network"
    return StudySet(name, CLASS_NAMES, "voxels", infos, load, ("network's own",))


def hippocampus(data: Path, strength: str, out: Path, seed: int = 0) -> StudySet:
    """The hippocampus in 3D, on the network's grid of 1 mm, with a network that is trained here once and kept."""
    n_train, epochs = STRENGTHS[strength]
    group = subjects(data)
    random.Random(seed).shuffle(group)
    network = _trained(group[:n_train], epochs, seed, out / f"hippocampus_{strength}.pt")
    # Subjects that either network was trained on are left out of both, so that the rows compare.
    rest = {item["subject"]: item for item in group[max(n for n, _ in STRENGTHS.values()) :]}
    read, extractor = preprocessing(label_with_image=True), NetworkFeatures(network, LAYERS)

    def load(info: CaseInfo) -> StudyCase:
        item: dict[Any, Any] = read(rest[info.name])
        image, label = item["image"].as_tensor(), item["label"].as_tensor()
        features = {"network's own": extractor(image)}
        spacing = [float(size) for size in item["image"].pixdim]
        return StudyCase(probabilities_of(network, image), label, image, features, spacing)

    infos = tuple(CaseInfo(name, name, float("nan")) for name in sorted(rest))
    return StudySet(f"hippocampus, {strength} network", HIPPOCAMPUS_NAMES, "mm", infos, load, ("network's own",))


def _trained(cases: list[dict[str, str]], epochs: int, seed: int, path: Path) -> UNet:
    if path.exists():
        network = untrained_network()
        network.load_state_dict(torch.load(path, weights_only=True))
        return network.eval()
    threads = torch.get_num_threads()
    # Sums round by the number of threads, and training goes another way from there.
    torch.set_num_threads(1)
    try:
        network = train(cases, epochs, seed)
    finally:
        torch.set_num_threads(threads)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), path)
    return network
