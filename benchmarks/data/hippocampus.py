"""Hippocampi as MONAI items, and a small network that is trained on a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import torch
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    LoadImaged,
    Orientationd,
    RandAffined,
    RandGaussianNoised,
    RandScaleIntensityd,
    ResizeWithPadOrCropd,
    ScaleIntensityRangePercentilesd,
)
from monai.utils import set_determinism
from tqdm import tqdm

CLASS_NAMES = ("background", "anterior", "posterior")
# Decoder at 2 mm and bottleneck at 4 mm.
LAYERS = ("model.1.submodule.2", "model.1.submodule.1.submodule")
_SIZE = (48, 64, 48)


def subjects(data: Path) -> list[dict[str, str]]:
    """Image, label and name of every subject."""
    found = [
        {"image": str(path), "label": str(data / "labels" / path.name), "subject": path.name.removesuffix(".nii.gz")}
        for path in sorted((data / "images").glob("hippocampus_*.nii.gz"))
    ]
    if not found:
        raise click.UsageError(f"There are no images/hippocampus_*.nii.gz in '{data}'.")
    return found


def preprocessing(label_with_image: bool) -> Compose:
    """From files to the network's input; for calibration and test the label stays on its own grid."""
    both = ("image", "label")
    moved = both if label_with_image else ("image",)
    return Compose(
        [
            LoadImaged(both, image_only=True),
            EnsureChannelFirstd(both),
            Orientationd(moved, axcodes="RAS", labels=None),
            ScaleIntensityRangePercentilesd("image", lower=0.5, upper=99.5, b_min=0, b_max=1, clip=True),
            ResizeWithPadOrCropd(moved, spatial_size=_SIZE),
        ]
    )


def untrained_network() -> UNet:
    """The small 3D UNet, with random weights."""
    return UNet(3, 1, 3, channels=(12, 24, 48), strides=(2, 2), num_res_units=1, norm="instance")


def train(cases: Sequence[dict[str, str]], epochs: int, seed: int) -> UNet:
    """The small UNet, trained for a short while, in evaluation mode."""
    set_determinism(seed)
    network = untrained_network()
    augmented = Compose(
        [
            preprocessing(label_with_image=True),
            RandAffined(
                ("image", "label"),
                prob=0.8,
                rotate_range=(0.3, 0.3, 0.3),
                scale_range=(0.15, 0.15, 0.15),
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
            RandScaleIntensityd("image", factors=0.2, prob=0.5),
            RandGaussianNoised("image", prob=0.3, std=0.05),
        ]
    )
    loader = DataLoader(CacheDataset(list(cases), augmented, progress=False), batch_size=4, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
    for _ in tqdm(range(epochs), desc="train"):
        for batch in loader:
            optimizer.zero_grad()
            loss = loss_of(network(batch["image"].as_tensor()), batch["label"].as_tensor())
            loss.backward()
            optimizer.step()
    set_determinism(None)
    return network.eval()
