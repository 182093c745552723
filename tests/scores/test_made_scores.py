"""Scores of many candidates at once are those of each alone, and curves are plain counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from monai.networks.layers import gaussian_1d
from scipy.ndimage import convolve1d, gaussian_filter

from monai_rwcp.conformal import LossTable, false_negative_rate_table, threshold_levels
from monai_rwcp.conformal.sets.prediction_set import set_at
from monai_rwcp.scores import BlurredScore, WalkedScore, make_together, score_from
from monai_rwcp.tune import SetCurves, default_candidates, set_curves, tuning_thresholds
from monai_rwcp.walk import Grid, WalkSettings, diffuse_probabilities, paper, recommended


def case(shape: tuple[int, ...], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    score = torch.softmax(2 * torch.randn(3, *shape, generator=generator), dim=0)
    features = torch.randn(6, *(n // 2 for n in shape), generator=generator)
    return score, torch.randint(0, 3, (1, *shape), generator=generator), features


@pytest.mark.parametrize(
    ("shape", "spacing"), [((24, 20), None), ((24, 20), [1.0, 2.5]), ((12, 10, 8), [1.0, 1.0, 3.0])]
)
def test_every_score_is_the_one_made_alone(shape: tuple[int, ...], spacing: list[float] | None) -> None:
    score, _, features = case(shape)
    other = features.flip(0) + 1
    candidates = default_candidates(["a", "b"], grid=2)[::5]
    if len(shape) == 3:
        candidates += [WalkedScore(WalkSettings(k=3, n_steps=n, neighborhood="slice", grid=2), "a") for n in (1, 4)]
    seen = set()
    for candidate, made in make_together(score, candidates, {"a": features, "b": other}, spacing=spacing):
        seen.add(candidate)
        if isinstance(candidate, WalkedScore):
            of_source = features if candidate.source == "a" else other
            alone = diffuse_probabilities(score, of_source, candidate.walk, spacing=spacing)
            assert torch.allclose(made, alone, atol=1e-7), candidate.name
        elif isinstance(candidate, BlurredScore):
            weight = gaussian_filter(np.ones(shape), candidate.sigma, mode="constant", truncate=8)
            expected = [
                gaussian_filter(c.numpy(), candidate.sigma, mode="constant", truncate=8) / weight for c in score
            ]
            if candidate.keep_peak:
                expected = [b * (float(c.max()) / b.max()) for b, c in zip(expected, score, strict=True)]
            assert np.allclose(made.numpy(), np.stack(expected), atol=0.01), candidate.name
        else:
            assert torch.equal(made, score)
    assert seen == set(candidates)


@pytest.mark.parametrize(
    ("shape", "sigma"), [((24, 20), 0.5), ((24, 20), 2.0), ((3, 31), 1.3), ((40, 30, 5), 1.0), ((96, 80, 10), 16.0)]
)
def test_a_blur_is_the_convolution_over_the_weight_inside(shape: tuple[int, ...], sigma: float) -> None:
    score, *_ = case(shape)
    kernel = gaussian_1d(torch.tensor(sigma)).double().numpy()
    expected, weight = score.double().numpy(), np.ones(shape)
    for axis in range(len(shape)):
        expected = convolve1d(expected, kernel, axis=axis + 1, mode="constant")
        weight = convolve1d(weight, kernel, axis=axis, mode="constant")
    made = BlurredScore(sigma).make(score)
    assert made.shape == score.shape
    assert made.is_contiguous()
    assert np.allclose(made.numpy(), expected / weight, rtol=0, atol=1e-6)


def test_kept_peaks_are_those_of_the_map() -> None:
    score, *_ = case((24, 20))
    made, smooth = BlurredScore(2.0, keep_peak=True).make(score), BlurredScore(2.0).make(score)
    assert torch.allclose(made.amax((1, 2)), score.amax((1, 2)))
    assert torch.allclose(made, smooth * (score.amax((1, 2)) / smooth.amax((1, 2)))[:, None, None])
    both = dict(make_together(score, [BlurredScore(2.0), BlurredScore(2.0, keep_peak=True)], {}))
    assert [torch.equal(a, b) for a, b in zip(both.values(), (smooth, made), strict=True)] == [True, True]


def test_a_blur_keeps_constants_and_range() -> None:
    assert torch.allclose(BlurredScore(3.0).make(torch.full((2, 9, 7), 0.25)), torch.full((2, 9, 7), 0.25), atol=1e-6)
    made = BlurredScore(1.0).make((torch.rand(2, 9, 7) > 0.5).half())
    assert made.dtype == torch.float16
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_names_tell_candidates_apart_and_files_keep_them() -> None:
    candidates = default_candidates(["features", "others"], fine_grid=2)
    assert len({candidate.name for candidate in candidates}) == len(candidates) == 21 + 2 * (217 + 54)
    fine = [c for c in candidates if isinstance(c, WalkedScore) and c.walk.grid == 2]
    assert {(c.walk.k, c.walk.spatial_weight, c.walk.center) for c in fine} == {(50, 3.0, True)}
    assert set(candidates) - set(fine) == set(default_candidates(["features", "others"]))
    assert {paper(), recommended()} & {
        replace(c.walk, grid="features") for c in candidates if isinstance(c, WalkedScore)
    }
    for candidate in candidates[::7]:
        assert score_from(candidate.kind, candidate.settings) == candidate


@pytest.mark.parametrize(
    ("fine_grid", "grid"), [(4, 4), (5, 4), ((2, 2, 2), (4, 4, 1)), (2, (4, 4, 1)), ((4, 4), 4), (1, "map"), ("map", 1)]
)
def test_a_fine_grid_is_finer(fine_grid: Grid, grid: Grid) -> None:
    with pytest.raises(ValueError, match="`fine_grid` to be finer than grid="):
        default_candidates(grid=grid, fine_grid=fine_grid)


@pytest.mark.parametrize(
    ("fine_grid", "grid"), [(2, 4), ((2, 2, 1), (4, 4, 1)), ("map", 4), (2, (4, 2)), (2, "features"), ("features", 4)]
)
def test_a_fine_grid_beside_another(fine_grid: Grid, grid: Grid) -> None:
    grids = {c.walk.grid for c in default_candidates(grid=grid, fine_grid=fine_grid) if isinstance(c, WalkedScore)}
    assert grids == {grid, fine_grid}


@pytest.mark.parametrize("sigma", [0, -1.0, float("nan"), float("inf"), True, "2"])
def test_impossible_blurs_are_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="`sigma` to be a number of voxels above 0"):
        BlurredScore(sigma)


def test_kept_peaks_are_a_yes_or_no() -> None:
    with pytest.raises(ValueError, match="`keep_peak` to be True or False"):
        BlurredScore(1.0, 1)  # type: ignore[arg-type]


def test_missing_features_are_named() -> None:
    score, *_ = case((8, 8))
    with pytest.raises(KeyError, match="features named 'a'"):
        list(make_together(score, [WalkedScore(source="a")], {}))


@pytest.mark.parametrize("masked", [False, True])
def test_curves_are_counts_of_the_sets(masked: bool) -> None:
    score, label, _ = case((17, 13))
    score[:, :3] = 0
    # Scores at a threshold are in its set, and what rounding left below 0 is in that of threshold 0.
    steps = torch.arange(0, len(tuning_thresholds()), 23)[: 17 * 5].repeat(3)[: 17 * 5]
    score[1, :, 8:] = torch.tensor(tuning_thresholds())[steps].reshape(17, 5)
    score[2, 5, 4], label[0, 5, 4] = -1e-8, 2
    mask = torch.rand(1, 17, 13) < 0.6 if masked else None
    counted = torch.ones(17, 13, dtype=torch.bool) if mask is None else mask[0]
    curves = set_curves(score, label, unit="anna", mask=mask)
    assert curves.classes == (1, 2)
    for j, threshold in list(enumerate(tuning_thresholds().tolist()))[::23]:
        found = set_at(score, {1: threshold, 2: threshold}).bool()
        for row, c in enumerate((1, 2)):
            truth = (label[0] == c) & counted
            assert curves.true[0, row] == int(truth.sum())
            assert curves.missed[0, row, j] == int((truth & ~found[c]).sum())
            assert curves.size[0, row, j] == int((found[c] & counted).sum())
            assert curves.stretch[0, row, j] == int((found[c] & counted).sum()) / int(truth.sum())
            dice = 2 * int((truth & found[c]).sum()) / (int(truth.sum()) + int((found[c] & counted).sum()))
            assert curves.dice[0, row, j] == pytest.approx(dice, rel=1e-12)


def test_rates_are_those_of_the_loss_table() -> None:
    images = [case((9, 8), seed)[:2] for seed in range(6)]
    owner = {str(i): f"p{i // 2}" for i in range(6)}
    curves = SetCurves.join(set_curves(s, t, unit=str(i)) for i, (s, t) in enumerate(images)).pooled(owner)
    table = LossTable.join(
        false_negative_rate_table(s, t, unit=owner[str(i)], image=str(i)) for i, (s, t) in enumerate(images)
    )
    assert curves.units == table.units
    fine = np.searchsorted(threshold_levels(), tuning_thresholds())
    for row, c in enumerate(curves.classes):
        expected = table.missed(c)[:, fine] / table.true(c)[:, None]
        assert np.array_equal(curves.false_negative_rate[:, row], expected)
    kept = curves.only(["p2", "p0"])
    assert kept.units == ("p0", "p2")
    assert np.array_equal(kept.size, curves.size[[0, 2]])


def test_units_and_classes_must_fit() -> None:
    one = set_curves(*case((8, 8))[:2], unit="a")
    with pytest.raises(ValueError, match="every unit once"):
        SetCurves.join([one, one])
    with pytest.raises(ValueError, match=r"\['b'\] \(1 in all\) are not"):
        one.only(["b"])
    with pytest.raises(ValueError, match="curves of the same classes"):
        SetCurves.join([])
