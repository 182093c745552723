"""MIND-SSC against an implementation written loop by loop from the definition."""

from __future__ import annotations

import math
import pickle
from itertools import product

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_rwcp.features import FeatureExtractor, MINDFeatures


def literal(image: np.ndarray, radius: int, dilation: int) -> np.ndarray:
    """The definition in nested loops and float64, voxel by voxel."""
    rank, shape = image.ndim, image.shape

    def at(place: tuple[int, ...]) -> float:
        return float(image[tuple(min(max(p, 0), n - 1) for p, n in zip(place, shape, strict=True))])

    steps = []
    for axis in range(rank):
        for sign in (-1, 1):
            step = [0] * rank
            step[axis] = sign * dilation
            steps.append(step)
    pairs = [
        (a, b)
        for i, a in enumerate(steps)
        for b in steps[i + 1 :]
        if sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) == 2 * dilation**2
    ]
    box = list(product(range(-radius, radius + 1), repeat=rank))
    distances = np.zeros((len(pairs), *shape))
    for place in np.ndindex(*shape):
        for n, (a, b) in enumerate(pairs):
            total = 0.0
            for shift in box:
                # The difference image ends where the image ends; beyond, its own last values go on.
                centre = [min(max(p + s, 0), m - 1) for p, s, m in zip(place, shift, shape, strict=True)]
                one = at(tuple(c + s for c, s in zip(centre, a, strict=True)))
                other = at(tuple(c + s for c, s in zip(centre, b, strict=True)))
                total += (one - other) ** 2
            distances[(n, *place)] = total / len(box)
    distances -= distances.min(axis=0)
    variance = distances.mean(axis=0)
    mean = variance.mean()
    return np.exp(-distances / np.clip(variance, 0.001 * mean, 1000 * mean))


@pytest.mark.parametrize("radius", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("shape", [(9, 8), (5, 6, 4)])
def test_equals_the_definition(shape: tuple[int, ...], radius: int, dilation: int) -> None:
    generator = torch.Generator().manual_seed(2)
    image = torch.rand(1, *shape, generator=generator, dtype=torch.float64) * 900 - 300
    expected = literal(image[0].numpy(), radius, dilation)
    extractor = MINDFeatures(radius, dilation)
    assert expected.shape[0] == {2: 4, 3: 12}[len(shape)]
    np.testing.assert_allclose(extractor(image), expected, rtol=0, atol=1e-7)  # rounded to float32 at the end
    np.testing.assert_allclose(extractor(image.float()), expected, rtol=0, atol=2e-4)


def test_rescaled_intensities_give_the_same_descriptor() -> None:
    image = torch.rand(1, 20, 18, 9)
    expected = MINDFeatures()(image)
    for scale, shift in ((1000.0, -500.0), (1e-3, 0.0), (-3.0, 7.0)):
        torch.testing.assert_close(MINDFeatures()(image * scale + shift), expected, rtol=0, atol=2e-3)


def test_huge_and_tiny_intensities_stay_finite() -> None:
    for scale in (1e-20, 1e20, 1e37):
        features = MINDFeatures()(torch.rand(1, 12, 12) * scale)
        assert torch.isfinite(features).all()
        assert float(features.std()) > 0.01


def test_an_edge_is_seen_where_it_is() -> None:
    image = torch.zeros(1, 40, 30)
    image[:, 22:] = 1
    features = MINDFeatures(radius=1, dilation=1)(image)
    flat = features[:, 5, 15]
    seen = (features - flat[:, None, None]).abs().amax(dim=(0, 2)) > 1e-3
    # On the edge itself the neighbours above and below differ from those at the sides by the same: no pair stands out.
    assert seen.nonzero().flatten().tolist() == [20, 23]
    # It does not matter how bright the two sides are.
    torch.testing.assert_close(MINDFeatures(radius=1, dilation=1)(5 - 3 * image), features)


def test_mostly_flat_image_is_finite() -> None:
    image = torch.zeros(1, 64, 64)
    image[0, 3, 3] = 1
    features = MINDFeatures()(image)
    assert torch.isfinite(features).all()
    assert float(features.min()) >= 0
    assert float(features.max()) == 1


def test_extractor_manners() -> None:
    extractor, image = MINDFeatures(1, 3), MetaTensor(torch.rand(1, 16, 12))
    before = image.clone()
    features = extractor(image)
    assert isinstance(extractor, FeatureExtractor)
    assert extractor.name == "MINDFeatures(radius=1, dilation=3)"
    assert type(features) is torch.Tensor
    assert features.dtype == torch.float32
    assert torch.equal(image, before)
    assert torch.equal(pickle.loads(pickle.dumps(extractor))(image), features)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(2, 8, 8), r"one channel, but got shape \(2, 8, 8\)"),
        (torch.full((1, 8, 8), math.nan), "finite"),
        (torch.full((1, 8, 8), 3.0), "values vary"),
        (torch.rand(8, 8), "2 or 3 spatial axes"),
    ],
)
def test_bad_images(image: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MINDFeatures()(image)


@pytest.mark.parametrize("options", [{"radius": -1}, {"radius": 1.5}, {"dilation": 0}, {"dilation": True}])
def test_bad_arguments(options: dict) -> None:
    with pytest.raises(ValueError, match="integer of at least"):
        MINDFeatures(**options)
