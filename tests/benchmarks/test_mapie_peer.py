"""Both programs control the recall of the same images, and their thresholds differ by the steps of MAPIE's grid."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.checks.mapie_peer import PeerImage, compare, load_images

pytest.importorskip("mapie", reason="the peer is not installed")


def noise(number: int) -> PeerImage:
    generator = torch.Generator().manual_seed(number)
    label = torch.zeros(1, 24, 24)
    label[0, 4:14, 6 : 16 + number % 4] = 1
    logits = 1.5 * torch.nn.functional.one_hot(label[0].long(), 2).permute(2, 0, 1)
    score = torch.softmax(logits + torch.randn(logits.shape, generator=generator), dim=0)
    return PeerImage(f"patient {number:02d}", score, label)


def test_both_control_the_recall_of_the_same_images() -> None:
    images = [noise(i) for i in range(60)]
    ours, theirs, finer = compare(images, c=1, alpha=0.2, splits=4, seed=0)
    assert [ours[1], theirs[1], finer[1]] == ["monai_rwcp", "MAPIE", "MAPIE, even in logits"]
    # MAPIE's thresholds are a hundredth apart, and its interval between two of them belongs to the lower.
    assert 0 <= float(ours[2]) - float(theirs[2]) <= 0.011
    assert float(ours[4]) <= float(theirs[4])
    assert ours[5] == theirs[5] == finer[5] == "0 of 4"


def test_a_hundredth_is_too_coarse_for_faint_scores() -> None:
    faint = [PeerImage(image.patient, torch.stack([1 - image.score[1] / 500, image.score[1] / 500]), image.label)
             for image in map(noise, range(60))]  # fmt: skip
    ours, theirs, finer = compare(faint, c=1, alpha=0.2, splits=3, seed=0)
    assert float(ours[2]) < 0.002
    assert float(theirs[4]) > float(finer[4]) >= float(ours[4])


def test_a_patient_has_one_image(shared_dir: Path) -> None:
    images = load_images(shared_dir / "data/acdc", shared_dir / "weights/acdc_unet_30patients.pt")
    assert len({image.patient for image in images}) == len(images) == 50
