"""The demo's segmentation network: what it is, what it sees, and its short training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.data import CacheDataset, DataLoader
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    DivisiblePadd,
    EnsureChannelFirstd,
    EnsureTyped,
    LoadImaged,
    Orientationd,
    RandFlipd,
    RandGaussianNoised,
    RandScaleIntensityd,
    ResizeWithPadOrCropd,
    ScaleIntensityRangePercentilesd,
    Spacingd,
)
from monai.utils import set_determinism

from monai_rwcp.demo.phantoms import CLASS_NAMES

__all__ = ["FEATURE_LAYERS", "build_network", "image_preprocessing", "train_network"]

FEATURE_LAYERS = ("model.0", "model.1.submodule.2")
"""Encoder and decoder of the network below, at half the input's resolution."""

_SPACING = (1.5, 1.5, 4.0)


def build_network() -> UNet:
    """Make the untrained network: a small 3D UNet from one channel to one for each class."""
    return UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=len(CLASS_NAMES),
        channels=(12, 24, 48),
        strides=((2, 2, 1), (2, 2, 2)),  # type: ignore[arg-type]  # MONAI takes one for each axis, too
        num_res_units=1,
        norm="instance",
    )


def image_preprocessing() -> Compose:
    """What happens to an image between its file and the network; the label stays on its own grid."""
    return Compose(
        [
            LoadImaged(("image", "label"), image_only=True),
            EnsureChannelFirstd(("image", "label")),
            Orientationd("image", axcodes="RAS", labels=None),
            Spacingd("image", pixdim=_SPACING, mode="bilinear"),
            ScaleIntensityRangePercentilesd("image", lower=0.5, upper=99.5, b_min=0, b_max=1, clip=True),
            DivisiblePadd("image", k=(4, 4, 2)),
            EnsureTyped(("image", "label")),
        ]
    )


def _training_transforms() -> Compose:
    both = ("image", "label")
    return Compose(
        [
            LoadImaged(both, image_only=True),
            EnsureChannelFirstd(both),
            Orientationd(both, axcodes="RAS", labels=None),
            Spacingd(both, pixdim=_SPACING, mode=("bilinear", "nearest")),
            ScaleIntensityRangePercentilesd("image", lower=0.5, upper=99.5, b_min=0, b_max=1, clip=True),
            ResizeWithPadOrCropd(both, spatial_size=(56, 56, 12)),
            RandFlipd(both, prob=0.5, spatial_axis=0),
            RandFlipd(both, prob=0.5, spatial_axis=1),
            RandScaleIntensityd("image", factors=0.2, prob=0.5),
            RandGaussianNoised("image", prob=0.5, std=0.05),
            EnsureTyped(both),
        ]
    )


def train_network(cases: Sequence[dict[str, str]], *, epochs: int, seed: int, progress: bool = True) -> UNet:
    """Train the network on a few patients.

    Args:
        cases: data list with ``image`` and ``label``.
        epochs: passes over the patients.
        seed: seed of the weights and of the augmentation.
        progress: whether a progress bar is shown.

    Returns:
        the network, in evaluation mode.
    """
    from tqdm import tqdm

    set_determinism(seed)
    try:
        network = build_network()
        data = CacheDataset(list(cases), _training_transforms(), progress=False)
        loader = DataLoader(data, batch_size=2, shuffle=True)
        optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
        # The learning rate falls to 0, so that the last steps do not throw the network about.
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
        loss_of = DiceCELoss(to_onehot_y=True, softmax=True)
        for _ in tqdm(range(epochs), desc="train the network", disable=not progress):
            for batch in loader:
                optimizer.zero_grad()
                loss = loss_of(network(batch["image"].as_tensor()), batch["label"].as_tensor())
                loss.backward()
                optimizer.step()
                falling.step()
    finally:
        set_determinism(None)
    return network.eval()
