"""Tuning by distance: the distances against scipy, the choice against loops, and what it changes."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

pytest.importorskip("scipy", reason="distances need scipy")

from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from monai_rwcp import tune_settings
from monai_rwcp.conformal.sets.prediction_set import set_at
from monai_rwcp.metrics.surfaces import surface_distances
from monai_rwcp.scores import BlurredScore, PlainScore
from monai_rwcp.tune import tuning_thresholds
from monai_rwcp.tune.choosing import choose_by_distance
from monai_rwcp.tune.distances import finalists, mean_by_unit, set_distances
from monai_rwcp.utils.voxels import Voxel


def hausdorff_95(a: np.ndarray, b: np.ndarray, spacing: list[float]) -> float:
    """Of all pairs of surface voxels."""
    one, other = (np.argwhere(m & ~binary_erosion(m)) * np.array(spacing) for m in (a, b))
    apart = cdist(one, other)
    return max(float(np.percentile(apart.min(axis=axis), 95)) for axis in (0, 1))


@pytest.mark.parametrize("spacing", [[1.0, 1.0, 1.0], [0.5, 1.5, 4.0]])
def test_distances_are_those_of_all_pairs(spacing: list[float]) -> None:
    generator = torch.Generator().manual_seed(1)
    score = torch.rand(3, 9, 8, 7, generator=generator)
    label = torch.randint(0, 3, (1, 9, 8, 7), generator=generator)
    found = set_distances(score, label, {1: 0.9, 2: 0.95}, voxel=Voxel.straight(spacing))
    for value, (c, threshold) in zip(found, {1: 0.9, 2: 0.95}.items(), strict=True):
        expected = hausdorff_95((score[c] >= threshold).numpy(), (label[0] == c).numpy(), spacing)
        assert value == pytest.approx(expected)


def test_without_truth_nothing_and_without_set_the_diagonal() -> None:
    score = torch.full((3, 6, 8), 0.2)
    label = torch.zeros(1, 6, 8)
    label[0, 2:4, 2:4] = 1
    absent, empty = set_distances(score, label, {2: 0.1, 1: 0.5})
    assert math.isnan(absent)
    assert empty == pytest.approx(10.0)
    mask = torch.zeros(1, 6, 8)
    mask[0, :, :4] = 1
    score[1] = 0.9
    masked = set_distances(score, label, {1: 0.5}, mask=mask, voxel=Voxel.straight([2.0, 2.0]))
    assert masked == [pytest.approx(hausdorff_95(mask[0].numpy() > 0, label[0].numpy() > 0, [2.0, 2.0]))]


def test_means_are_of_the_images_that_have_one() -> None:
    values = np.array([[1.0, np.nan], [3.0, 4.0], [np.nan, np.nan]])
    found = mean_by_unit(values, ["b", "b", "a"], ["a", "b"])
    np.testing.assert_equal(found, [[np.nan, np.nan], [2.0, 4.0]])


def test_a_few_of_each_kind_go_on() -> None:
    order = [("walk", float(i)) for i in range(9, 0, -1)] + [("plain", 50.0)]
    assert finalists(order) == [5, 6, 7, 8, 9]


def test_the_choice_and_its_error_against_loops() -> None:
    random = np.random.default_rng(2)
    distances = {PlainScore(): random.uniform(5, 9, (12, 2)), BlurredScore(1.0): random.uniform(4, 8, (12, 2))}
    distances[PlainScore()][3, 1] = distances[BlurredScore(1.0)][3, 1] = np.nan
    units = tuple(f"p{i}" for i in range(12))
    thresholds = {candidate: {1: 0.5, 2: 0.5} for candidate in distances}
    choice = choose_by_distance(distances, thresholds, units, draws=50, seed=4)
    by_name = {result.candidate: result for result in choice.results}
    for candidate, values in distances.items():
        assert by_name[candidate].value == pytest.approx(np.mean([np.nanmean(values[:, c]) for c in range(2)]))
    picks, apart = np.random.default_rng(4).integers(0, 12, size=(50, 12)), []
    for pick in picks:
        plain, blur = (np.mean([np.nanmean(v[pick, c]) for c in range(2)]) for v in distances.values())
        apart.append(plain - blur)
    assert by_name[PlainScore()].standard_error == pytest.approx(np.std(apart, ddof=1))
    assert by_name[PlainScore()].worse_in == np.mean(np.array(apart) > 0)
    assert (choice.chosen == PlainScore()) == (by_name[PlainScore()].worse_in < 0.8413)


def test_far_specks_decide_by_distance_and_not_by_size() -> None:
    cases = []
    for i in range(8):
        generator = torch.Generator().manual_seed(i)
        label = torch.zeros(1, 40, 40)
        label[0, 4:14, 4:14] = 1
        organ = 0.9 * label[0]
        # A few sure voxels far away: little of the size, all of the distance. A blur wipes them out, and rounds the organ.
        specks = (torch.rand(40, 40, generator=generator) > 0.985).float()
        specks[:20, :20] = 0
        organ = torch.maximum(organ, 0.95 * specks)
        score = MetaTensor(torch.stack([1 - organ, organ]), affine=torch.diag(torch.tensor([2.0, 2.0, 1.0, 1.0])))
        cases.append({"pred": score, "label": label, "patient": f"p{i}"})
    candidates = [PlainScore(), BlurredScore(1.5), BlurredScore(6.0)]
    by_size = tune_settings(cases, candidates=candidates, alpha=0.1)
    by_distance = tune_settings(cases, candidates=candidates, alpha=0.1, objective="hausdorff_distance_95")
    assert by_distance.objective == "hausdorff_distance_95"
    assert by_distance.chosen == BlurredScore(1.5)
    values = {result.candidate: result.value for result in by_distance.results}
    thresholds = {result.candidate: result.thresholds[1] for result in by_size.results}
    expected = [
        hausdorff_95((c["pred"][1] >= thresholds[PlainScore()]).numpy(), c["label"][0].numpy() > 0, [2.0, 2.0])
        for c in cases
    ]
    assert values[PlainScore()] == pytest.approx(np.mean(expected))


def test_scipy_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r"monai-rwcp\[report\]"):
        tune_settings([], objective="hausdorff_distance_95")


def test_sets_are_those_that_prediction_makes_also_in_half_precision() -> None:
    generator = torch.Generator().manual_seed(5)
    score = torch.softmax(8 * torch.randn(2, 20, 20, generator=generator), dim=0).half()
    label = (torch.rand(1, 20, 20, generator=generator) < 0.02).float()
    differ = 0
    for threshold in tuning_thresholds()[1::10].tolist():
        made = set_at(score, {1: threshold})[1].bool()
        differ += not torch.equal(made, score[1] >= threshold)
        expected = (
            surface_distances(made, label[0] > 0, Voxel.straight([1.0, 1.0]))[1] if made.any() else math.hypot(20, 20)
        )
        assert set_distances(score, label, {1: threshold}) == [expected]
    assert differ
