"""Maps that are no probabilities: each is named as what it is, everywhere a map comes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import zoom

from monai_rwcp import RandomWalkDiffusion, TunedScore, false_negative_rate_table
from monai_rwcp.conformal import Calibration, LossTable, calibrate
from monai_rwcp.conformal.counting.labels import check_score
from monai_rwcp.conformal.sets.prediction_set import prediction_set
from monai_rwcp.conformal.sets.set_sizes import set_sizes
from monai_rwcp.scores import BlurredScore, PlainScore
from monai_rwcp.tune import TunedSettings, tune_settings
from monai_rwcp.utils.score_range import check_range
from monai_rwcp.walk import diffuse_probabilities, recommended
from tests.helpers.map_folders import run, save

LABEL = torch.zeros(1, 24, 24, dtype=torch.long)
LABEL[0, 6:15, 7:16] = 1


def logits(channels: int = 2, strength: float = 4.0) -> torch.Tensor:
    noise = torch.randn(channels, 24, 24, generator=torch.Generator().manual_seed(0))
    return strength * F.one_hot(LABEL[0], channels).movedim(-1, 0) - strength / 2 + noise


SOFTMAX = logits().softmax(0)
SIGMOID = logits()[1:].sigmoid()


def cubic(values: torch.Tensor) -> torch.Tensor:
    return F.interpolate(values[None], scale_factor=2.3, mode="bicubic")[0]


def spline(values: torch.Tensor) -> torch.Tensor:
    """As `scipy.ndimage.zoom` and SimpleITK's B-splines do it: its ripples run on far beyond the edges."""
    return torch.stack([torch.from_numpy(zoom(channel.numpy(), 1.7, order=3)) for channel in values])


CLEAR = F.one_hot(LABEL[0], 2).movedim(-1, 0).float()
OTHERS: dict[str, tuple[torch.Tensor, str]] = {
    "overshoot": (cubic(CLEAR), "overshoot of a cubic interpolation: resample the map linearly, or clip it"),
    "overshoot of a small organ": (cubic(CLEAR * (LABEL == 1)), "overshoot of a cubic interpolation"),
    "overshoot of a spline": (spline(CLEAR), "overshoot of a cubic interpolation"),
    "overshoot of a spline, organ alone": (spline(CLEAR)[1:], "overshoot of a cubic interpolation"),
    "overshoot of one voxel": (SOFTMAX + 0.01 * (SOFTMAX.max() == SOFTMAX), "overshoot"),
    "percent of a softmax": (100 * SOFTMAX, "percent: divide by 100"),
    "percent of a sigmoid": (100 * SIGMOID, "percent: divide by 100"),
    "whole percent": ((100 * SOFTMAX).round(), "percent: divide by 100"),
    "percent with overshoot": (100 * cubic(SOFTMAX), "percent: divide by 100"),
    "8 bits of a softmax": ((255 * SOFTMAX).round(), r"8-bit values \(0 to 255\): divide by 255"),
    "8 bits of a sigmoid": ((255 * SIGMOID).round(), r"8-bit values \(0 to 255\): divide by 255"),
    "logits": (logits(), "logits: put Activationsd"),
    "small logits": (logits(strength=0.5) / 4, "logits: put Activationsd"),
    "logits of one channel": (logits()[1:], "logits: put Activationsd"),
    "log-softmax": (logits().log_softmax(0), "logarithms of probabilities .* take exp"),
    "numbers of classes": (3.0 * LABEL, "numbers of classes: name the network's probabilities"),
    "image": (torch.arange(-1000.0, 152)[: 24 * 24 * 2].reshape(2, 24, 24).round() * 2, "an image"),
    "another factor": (1e4 * SIGMOID, "no probabilities, nor anything known"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_each_is_named_as_what_it_is(kind: str) -> None:
    values, message = OTHERS[kind]
    with pytest.raises(ValueError, match=rf"Expected 'pred' in \[0, 1\], but it ranges from .*{message}") as caught:
        check_score(values, "pred")
    assert ("logits:" in str(caught.value)) == ("logits:" in message)


@pytest.mark.parametrize(
    "values",
    [
        SOFTMAX,
        SIGMOID,
        SOFTMAX.half(),
        SOFTMAX.double(),
        SOFTMAX + 5e-7,
        CLEAR,
        torch.zeros(1, 4, 4),
        torch.ones(1, 4, 4),
    ],
)
def test_probabilities_are_taken_up_to_rounding(values: torch.Tensor) -> None:
    check_score(values)


def test_whole_numbers_are_masks_or_8_bits() -> None:
    with pytest.raises(ValueError, match=r"dtype is torch\.uint8, which looks like a mask"):
        check_score(CLEAR.to(torch.uint8))
    with pytest.raises(ValueError, match=r"dtype is torch\.uint8, .* up to 25\d\. .*8-bit values .*: divide by 255"):
        check_score((255 * SOFTMAX).round().to(torch.uint8))
    with pytest.raises(ValueError, match=r"dtype is torch\.int64, .*numbers of classes"):
        check_score(2 * LABEL)


def test_a_map_without_voxels() -> None:
    with pytest.raises(ValueError, match=r"'pred', but it is empty \(shape \(2, 0, 4\)\)"):
        check_range(torch.zeros(2, 0, 4), "'pred'")


def test_values_that_are_not_finite() -> None:
    for bad in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="finite values in `probabilities`"):
            check_range(torch.tensor([[[0.5, bad]]]), "`probabilities`")


def made() -> Calibration:
    tables = [false_negative_rate_table(SOFTMAX, LABEL, unit=str(i), image=str(i)) for i in range(30)]
    return calibrate(LossTable.join(tables), 0.2)


FEATURES = torch.randn(4, 6, 6, generator=torch.Generator().manual_seed(1))
PLACES: dict[str, Callable[[torch.Tensor], object]] = {
    "counting": lambda values: false_negative_rate_table(values, LABEL, unit="1"),
    "threshold": lambda values: prediction_set(values, made()),
    "plain": lambda values: PlainScore().make(values),
    "blur": lambda values: BlurredScore(1.0).make(values),
    "walk": lambda values: diffuse_probabilities(values, FEATURES, replace(recommended(), k=4)),
    "walk transform": lambda values: RandomWalkDiffusion(k=4, grid=4)(values, FEATURES),
    "tuned score": lambda values: TunedScore(TunedSettings(BlurredScore(1.0), ("a",), "patient", 0.1, "dice", "b"))(values),
    "sizes": lambda values: set_sizes(values, [1]),
    "tuning": lambda values: tune_settings(
        [{"pred": values, "label": LABEL, "patient": str(i)} for i in range(10)], candidates=[PlainScore()]
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_every_place_where_a_map_comes_in(place: str) -> None:
    PLACES[place](SOFTMAX)
    for values, message in ((100 * SOFTMAX, "percent: divide by 100"), (logits(), "logits: put Activationsd")):
        with pytest.raises(ValueError, match=message):
            PLACES[place](values)
    one = SOFTMAX.clone()
    one[1, 0, 0] = 1.02
    with pytest.raises(ValueError, match="overshoot of a cubic"):
        PLACES[place](one)


def test_one_file_of_percent_among_others(tmp_path: Path) -> None:
    for i in range(12):
        factor = 100 if i == 7 else 1
        save(factor * SOFTMAX.movedim(0, -1)[:, :, None].numpy(), tmp_path / "maps" / f"{i:02d}.nii.gz")
        save(LABEL[0, :, :, None].numpy().astype(np.uint8), tmp_path / "labels" / f"{i:02d}.nii.gz")
    calibrate_all = ["calibrate", tmp_path / "maps", "--form", "channels-last", "--labels", tmp_path / "labels"]
    ran = run(*calibrate_all, "--out", tmp_path / "calibration.json")
    assert ran.exit_code == 1
    assert "Case '07'" in ran.output
    assert "This looks like percent: divide by 100." in " ".join(ran.output.split())
    image = nibabel.load(tmp_path / "maps" / "07.nii.gz")
    save(np.asarray(image.dataobj) / np.float32(100), tmp_path / "maps" / "07.nii.gz")
    ran = run(*calibrate_all, "--out", tmp_path / "calibration.json")
    assert ran.exit_code == 0, ran.output
