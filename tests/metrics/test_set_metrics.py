"""What a set is worth, by hand and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from monai_rwcp.metrics import prediction_set_metrics


def surface(mask: np.ndarray) -> np.ndarray:
    """Voxels of the mask that have a face neighbour outside it (the image's outside counts)."""
    padded = np.pad(mask, 1)
    inner = padded.copy()
    for axis in range(mask.ndim):
        inner &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
    return np.argwhere(mask & ~inner[tuple([slice(1, -1)] * mask.ndim)])


@pytest.mark.parametrize(
    ("shape", "spacing"), [((14, 11), (1.0, 1.0)), ((14, 11), (0.5, 2.0)), ((7, 8, 6), (1.0, 1.5, 4.0))]
)
def test_distances_are_those_of_brute_force(shape: tuple, spacing: tuple) -> None:
    random = np.random.default_rng(1)
    for share in (0.5, 1.0):
        found, truth = random.random(shape) < share, random.random(shape) < 0.3
        a, b = surface(found) * spacing, surface(truth) * spacing
        pairs = np.linalg.norm(a[:, None] - b[None], axis=-1)
        one, other = pairs.min(axis=1), pairs.min(axis=0)
        figures = prediction_set_metrics(torch.tensor(found), torch.tensor(truth), spacing=spacing)
        assert figures.average_surface_distance == pytest.approx(
            (one.sum() + other.sum()) / (len(a) + len(b)), rel=1e-4
        )
        expected = max(np.percentile(one, 95), np.percentile(other, 95))
        assert figures.hausdorff_distance_95 == pytest.approx(expected, rel=1e-4)
        assert figures.dice == pytest.approx(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def test_counts_by_hand() -> None:
    truth = torch.tensor([[0, 1, 1, 0, 0], [0, 1, 1, 0, 0]])
    found = torch.tensor([[1, 1, 0, 0, 1], [0, 0, 0, 0, 1]])
    figures = prediction_set_metrics(found, truth)
    assert (figures.missed, figures.true, figures.size, figures.components) == (3, 4, 4, 2)
    assert figures.false_negative_rate == 0.75
    assert figures.stretch == 1.0


def test_empty_truth_and_empty_set() -> None:
    some, none = torch.ones(3, 3), torch.zeros(3, 3)
    alarm = prediction_set_metrics(some, none)
    assert alarm.size == 9
    for value in (alarm.false_negative_rate, alarm.stretch, alarm.dice, alarm.average_surface_distance):
        assert math.isnan(value)
    missed = prediction_set_metrics(none, some)
    assert (missed.false_negative_rate, missed.stretch, missed.dice, missed.components) == (1, 0, 0, 0)
    assert math.isnan(missed.hausdorff_distance_95)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="one class of one image"):
        prediction_set_metrics(torch.ones(2, 2), torch.ones(2, 3))
    with pytest.raises(ValueError, match="zeros and ones"):
        prediction_set_metrics(torch.full((2, 2), 0.5), torch.ones(2, 2))
    with pytest.raises(ValueError, match="2 voxel sizes"):
        prediction_set_metrics(torch.ones(2, 2), torch.ones(2, 2), spacing=(1, 1, 1))
