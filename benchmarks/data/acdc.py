"""ACDC slices as MONAI items, and which patients which network has seen."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from monai.networks.nets import UNet

CLASS_NAMES = ("background", "right ventricle", "myocardium", "left ventricle")
SIZE = (224, 224)
# Bottleneck and three decoder scales of the segmentation networks.
DECODER_LAYERS = (
    "model.1.submodule.2",
    "model.1.submodule.1.submodule.2",
    "model.1.submodule.1.submodule.1.submodule.2",
    "model.1.submodule.1.submodule.1.submodule.1.submodule",
)

_SEEN_BY = {3: {1, 41, 81}, 8: {1, 14, 27, 41, 54, 67, 81, 94}}


def patients(data: Path) -> list[int]:
    """Numbers of all patients."""
    numbers = sorted({int(path.name[7:10]) for path in data.glob("patient*_frame*.npz")})
    if not numbers:
        raise FileNotFoundError(f"There are no patientNNN_frameMM.npz in '{data}'.")
    return numbers


def n_seen(weights: Path) -> int:
    """How many patients the network in a weights file was trained on, by the file's name."""
    found = re.search(r"_(\d+)patients", weights.name)
    if found is None:
        raise ValueError(f"Expected a weights file named like acdc_unet_8patients.pt, but got '{weights.name}'.")
    return int(found.group(1))


def unseen_patients(data: Path, weights: Path) -> list[int]:
    """Numbers of the patients that the network in a weights file was not trained on."""
    n, numbers = n_seen(weights), patients(data)
    if n == 30:
        return [p for p in numbers if p % 10 not in (1, 4, 7)]
    return [p for p in numbers if p not in _SEEN_BY[n]]


def slice_items(data: Path, patients: Sequence[int], slices: int | None) -> list[dict[str, Any]]:
    """One item for each slice of these patients, or for a number of slices spread evenly over each volume."""
    items = []
    for path in sorted(p for n in patients for p in data.glob(f"patient{n:03d}_frame*.npz")):
        depth = len(_volume(path)["image"])
        count = depth if slices is None else min(slices, depth)
        chosen = np.unique(np.floor((np.arange(count) + 0.5) * depth / count).astype(int))
        items += [
            {"volume": str(path), "slice": int(s), "patient": path.name[:10], "case": f"{path.stem}_slice{s:02d}"}
            for s in chosen
        ]
    return items


class LoadSlice:
    """Read one slice: image scaled to [0, 1] and resized to 224 x 224, label resized without mixing classes."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        volume = _volume(Path(d.pop("volume")))
        image = torch.from_numpy(volume["image"][d["slice"]]).float()[None, None] / 255
        label = torch.from_numpy(volume["label"][d["slice"]]).float()[None, None]
        d["image"] = F.interpolate(image, SIZE, mode="bilinear", antialias=True, align_corners=False)[0].clamp_(0, 1)
        d["label"] = F.interpolate(label, SIZE, mode="nearest-exact")[0]
        return d


def first_slice(data: Path) -> dict[Hashable, Any]:
    """The middle slice of the first patient that the networks of 3 and of 8 patients have not seen."""
    (item,) = slice_items(data, [2], 1)[:1]
    return LoadSlice()(dict(item.items()))


def load_network(weights: Path) -> UNet:
    """Load one of the ACDC networks, in evaluation mode."""
    network = UNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=4,
        channels=(16, 32, 64, 128, 256),
        strides=(2, 2, 2, 2),
        num_res_units=1,
        norm="batch",
    )
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network.eval()


@lru_cache(maxsize=4)
def _volume(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return {name: file[name] for name in ("image", "label")}
