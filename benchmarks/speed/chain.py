"""What each step of the whole chain costs, for a slice and for volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import UNet

from benchmarks.common.evaluation import probabilities_of
from benchmarks.common.timing import Row, gpu_peak_memory, interleaved, peak_memory
from benchmarks.data.acdc import first_slice, load_network
from monai_rwcp import DenseFeatures, ExportedFeatures, NetworkFeatures
from monai_rwcp.conformal import LossTable, calibrate, false_negative_rate_table, prediction_set
from monai_rwcp.walk import WalkSettings, diffuse_probabilities, recommended

_REPEATS = 5
_VOLUME, _VOLUME_GRID, _VOLUME_FEATURES, _VOLUME_CLASSES = (512, 512, 100), (64, 64, 100), 256, 4


def slice_chain_rows(
    data: Path, encoder: Path, weights: Path, device: str, step: Callable[[str], None]
) -> Iterator[Row]:
    """One ACDC slice, 224 x 224, four classes: the network, the features, the walk and the set."""
    step("chain: one slice")
    image = first_slice(data)["image"].to(device)
    network, extract = load_network(weights).to(device), DenseFeatures(ExportedFeatures(encoder))
    with torch.no_grad():
        probabilities = probabilities_of(network, image)
        features = torch.as_tensor(extract(image))
        yield from _chain(
            "one slice, 224 x 224, 4 classes",
            probabilities,
            device,
            {
                "segmentation network": lambda: network(image[None]),
                "feature network (LiteMedSAM, on the CPU)": lambda: extract(image),
                "walk, recommended(), 56 x 56": lambda: diffuse_probabilities(probabilities, features, recommended()),
                "walk, recommended(), 224 x 224": lambda: diffuse_probabilities(
                    probabilities, features, replace(recommended(), grid="map")
                ),
            },
        )


def volume_chain_rows(device: str, step: Callable[[str], None]) -> Iterator[Row]:
    """A volume of 96 x 96 x 64 through an untrained 3D network, and the walk over 100 slices of 512 x 512."""
    step("chain: one small volume")
    torch.manual_seed(0)
    network = UNet(3, 1, 3, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=1, norm="instance")
    network.eval().to(device)
    extract = DenseFeatures(NetworkFeatures(network, "model.1.submodule.1.submodule.0"))
    image = torch.rand(1, 96, 96, 64).to(device)
    with torch.no_grad():
        probabilities = probabilities_of(network, image)
        features = torch.as_tensor(extract(image))
        settings = replace(recommended(), grid=4)
        yield from _chain(
            "one volume, 96 x 96 x 64, 3 classes",
            probabilities,
            device,
            {
                "segmentation network": lambda: network(image[None]),
                "feature network (the same)": lambda: extract(image),
                "walk, recommended(), 24 x 24 x 16": lambda: diffuse_probabilities(probabilities, features, settings),
            },
        )
    step("chain: 100 slices of 512 x 512")
    walk = _large_walk(device)
    seconds = interleaved({"walk": (walk, 1 if device == "cpu" else _REPEATS)}, device)["walk"]
    yield Row(
        "chain",
        f"volume of 512 x 512 x 100, {_VOLUME_CLASSES} classes, F = {_VOLUME_FEATURES}",
        _VOLUME[0] * _VOLUME[1] * _VOLUME[2],
        'walk, recommended(), 64 x 64 x 100, neighborhood="slice"',
        seconds,
        peak_mib=peak_memory(_large_walk, device) if device == "cpu" else gpu_peak_memory(walk),
    )


def _chain(case: str, probabilities: torch.Tensor, device: str, steps: dict[str, Callable[[], Any]]) -> Iterator[Row]:
    label = probabilities.argmax(dim=0, keepdim=True)
    tables = [false_negative_rate_table(probabilities, label, unit=str(i)) for i in range(20)]
    calibration = calibrate(LossTable.join(tables), 0.1)
    steps["loss table"] = lambda: false_negative_rate_table(probabilities, label, unit="a")
    steps["prediction set"] = lambda: prediction_set(probabilities, calibration)
    seconds = interleaved({name: (function, _REPEATS) for name, function in steps.items()}, device)
    size = probabilities[0].numel()
    yield from (Row("chain", case, size, name, s, s / seconds["segmentation network"]) for name, s in seconds.items())


def _large_walk(device: str) -> Callable[[], Any]:
    generator = torch.Generator().manual_seed(0)
    smooth = torch.randn(_VOLUME_FEATURES, 16, 16, 100, generator=generator)
    features = torch.nn.functional.interpolate(smooth[None], _VOLUME_GRID, mode="nearest")[0]
    features += 0.3 * torch.randn(features.shape, generator=generator)
    probabilities = torch.softmax(torch.randn(_VOLUME_CLASSES, *_VOLUME, generator=generator), dim=0)
    features, probabilities = features.to(device), probabilities.to(device)
    settings: WalkSettings = replace(recommended(), grid="features", neighborhood="slice", slice_axis=2)
    return lambda: diffuse_probabilities(probabilities, features, settings, spacing=(0.8, 0.8, 3.0))
