"""The baselines of the study, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, generate_binary_structure

pytest.importorskip("cv2", reason="the study's baselines need opencv-contrib-python-headless")

from benchmarks.common.baselines import BilateralScore, DilatedScore, baseline_candidates


@pytest.mark.parametrize(("neighbors", "connectivity"), [("face", 1), ("corner", 9)])
@pytest.mark.parametrize("shape", [(13, 11), (9, 8, 7)])
def test_a_threshold_is_a_number_of_dilations(neighbors: str, connectivity: int, shape: tuple[int, ...]) -> None:
    logits = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    logits[0] += 2
    logits[2] -= 20
    probabilities = torch.softmax(logits, dim=0)
    score = DilatedScore(neighbors).score(probabilities)  # type: ignore[arg-type]
    mask = (probabilities.argmax(dim=0) == 1).numpy()
    assert mask.any()
    structure = generate_binary_structure(len(shape), min(connectivity, len(shape)))
    for n in range(6):
        grown = binary_dilation(mask, structure, iterations=n) if n else mask
        assert np.array_equal(score[1].numpy() >= np.float32(1 / (1 + n)), grown)
    # The third class is predicted nowhere.
    assert not score[2].any()


def test_bilateral_is_the_weighted_mean() -> None:
    generator = torch.Generator().manual_seed(2)
    probabilities, image = torch.rand(2, 15, 15, generator=generator), torch.rand(1, 15, 15, generator=generator)
    image.flatten()[0], image.flatten()[1] = 0, 1
    space, intensity = 0.6, 0.3
    found = BilateralScore(space, intensity).score(probabilities, image)
    # The filter's window reaches so far.
    reach = max(round(space * 1.5), 1)
    x, y = 7, 8
    weights, values = [], []
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            if math.hypot(i, j) <= reach:
                difference = float(image[0, x + i, y + j] - image[0, x, y])
                weights.append(math.exp(-(i * i + j * j) / (2 * space**2) - difference**2 / (2 * intensity**2)))
                values.append(probabilities[:, x + i, y + j])
    expected = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
    assert torch.allclose(found[:, x, y], expected, atol=2e-3)


def test_volumes_are_filtered_slice_by_slice() -> None:
    generator = torch.Generator().manual_seed(3)
    probabilities, image = torch.rand(2, 9, 8, 3, generator=generator), torch.rand(1, 9, 8, 3, generator=generator)
    image[..., 0, 0, :], image[..., 0, 1, :] = 0, 1
    found = BilateralScore(1.0, 0.1).score(probabilities, image)
    alone = BilateralScore(1.0, 0.1).score(probabilities[..., 1], image[..., 1])
    assert torch.equal(found[..., 1], alone)


def test_names_are_unique() -> None:
    names = [candidate.name for candidate in baseline_candidates()]
    assert len(set(names)) == len(names)
