"""The last steps of a score against dense float64 algebra, and what they may never do."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from monai_rwcp.scores import BlurredScore, PlainScore, WalkedScore
from monai_rwcp.walk import LastSteps, WalkSettings, keep_sure, level_by_size, paper, size_unit


def maps(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """A network's map, with exact zeros and ones, and a smoothed one."""
    generator = torch.Generator().manual_seed(seed)
    own = torch.rand(shape, generator=generator, dtype=torch.float64)
    own[own < 0.2], own[own > 0.8] = 0.0, 1.0
    smoothed = 0.9 * torch.rand(shape, generator=generator, dtype=torch.float64)
    return own.to(dtype), smoothed.to(dtype)


def by_hand(own: np.ndarray, smoothed: np.ndarray, steps: LastSteps, voxel: float) -> np.ndarray:
    """The formulas of the design, channel by channel and voxel by voxel."""
    result = np.empty_like(smoothed)
    for c in range(len(own)):
        s = smoothed[c].copy()
        if steps.keep_peak:
            s *= own[c].max() / s.max()
        if steps.keep_sure is not None:
            for place in itertools.product(*map(range, s.shape)):
                p = own[c][place]
                w = min((1 - 4 * p * (1 - p)) ** steps.keep_sure, 0.999)
                s[place] = w * p + (1 - w) * s[place]
        if steps.size_exponent:
            s *= (steps.size_reference / (steps.size_reference + voxel * s.sum())) ** steps.size_exponent
        result[c] = s
    return result


@pytest.mark.parametrize("shape", [(2, 7, 5), (3, 4, 6, 5)])
@pytest.mark.parametrize(
    "steps",
    [
        LastSteps(),
        LastSteps(keep_peak=True),
        LastSteps(keep_sure=4.0),
        LastSteps(keep_sure=0.0),
        LastSteps(size_exponent=0.25),
        LastSteps(True, 2.5, 0.5, 3.0),
    ],
)
@pytest.mark.parametrize("spacing", [None, (0.7, 1.3, 5.0)])
def test_against_dense_algebra(shape: tuple[int, ...], steps: LastSteps, spacing: tuple[float, ...] | None) -> None:
    own, smoothed = maps(shape, seed=3)
    here = None if spacing is None else spacing[: len(shape) - 1]
    voxel = 1.0 if here is None else math.prod(here) / (1000 if len(shape) == 4 else 1)
    made = steps.take(smoothed, own, here)
    expected = by_hand(own.double().numpy(), smoothed.double().numpy(), steps, voxel)
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made.numpy(), expected, rtol=2e-6, atol=1e-7)
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize("exponent", [0.0, 0.5, 4.0, 1000.0])
def test_where_the_network_is_sure_its_map_stays_and_the_walk_orders_it(exponent: float) -> None:
    own = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.5]])
    smoothed = torch.tensor([[0.1, 0.3, 0.6, 0.8, 0.9]])
    kept = keep_sure(smoothed, own, exponent)[0]
    assert kept[:2].max() < 1e-3 < 0.999 < kept[2:4].min()
    assert kept[0] < kept[1]
    assert kept[2] < kept[3]
    # In full doubt the network has no voice, but for an exponent of 0.
    assert kept[4] == pytest.approx(0.5 if exponent == 0 else 0.9, abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_levels_change_the_order_of_no_two_voxels(seed: int) -> None:
    random = np.random.default_rng(seed)
    score = torch.tensor(random.random((2, 40, 30)) ** random.integers(1, 9), dtype=torch.float32)
    score[:, ::3] = score[:, 1:2]  # ties
    levelled = level_by_size(score, float(random.uniform(0.01, 0.5)), float(random.uniform(0.1, 50)))
    for before, after in zip(score.flatten(1), levelled.flatten(1), strict=True):
        order = before.argsort()
        steps_before, steps_after = before[order].diff(), after[order].diff()
        assert (steps_after >= 0).all()
        assert (steps_after[steps_before == 0] == 0).all()
        # Rounding may make neighbours equal, but only those.
        assert (steps_before[steps_after == 0] < 2e-7 * before[order][1:][steps_after == 0] + 1e-38).all()
        assert after.max() < before.max()


def test_small_structures_keep_more_of_their_height() -> None:
    small, large = torch.zeros(1, 30, 30), torch.zeros(1, 30, 30)
    small[0, :3, :3], large[0, :20, :20] = 0.8, 0.8
    of_small, of_large = (level_by_size(score, 0.25).max().item() for score in (small, large))
    assert of_small == pytest.approx(0.8 * (1 / (1 + 0.8 * 9)) ** 0.25, rel=1e-6)
    assert of_large < 0.6 * of_small


def test_the_size_is_the_same_however_the_map_lies_in_memory() -> None:
    score = torch.rand(3, 61, 47, 13, generator=torch.Generator().manual_seed(0))
    plain = level_by_size(score, 0.5, spacing=(1.0, 1.0, 2.0))
    turned = level_by_size(score.flip(1, 3).transpose(1, 2), 0.5, spacing=(1.0, 1.0, 2.0))
    assert torch.equal(turned.transpose(1, 2).flip(1, 3), plain)


def test_sizes_in_ml_do_not_depend_on_the_voxels() -> None:
    coarse = torch.full((1, 4, 4, 4), 0.5)
    fine = coarse.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    same = level_by_size(coarse, 0.5, spacing=(2.0, 2.0, 2.0)).max(), level_by_size(fine, 0.5, spacing=(1.0,) * 3).max()
    assert same[0] == pytest.approx(same[1].item(), rel=1e-6)
    assert level_by_size(coarse, 0.5).max() != level_by_size(fine, 0.5).max()


@pytest.mark.parametrize(("spacing", "unit"), [(None, "voxels"), ([1.0, 2.0], "mm2"), ([1.0, 2.0, 3.0], "ml")])
def test_units(spacing: list[float] | None, unit: str) -> None:
    assert size_unit(spacing) == unit
    assert LastSteps(size_exponent=0.1).unit(spacing) == {"size_unit": unit}
    assert LastSteps(keep_sure=1.0).unit(spacing) == {}


@pytest.mark.parametrize("make", [LastSteps, WalkSettings, lambda **values: BlurredScore(1.0, **values)])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keep_sure": -1.0}, "`keep_sure`.*from 0 on.*-1.0"),
        ({"keep_sure": math.nan}, "`keep_sure`.*nan"),
        ({"keep_sure": math.inf}, "`keep_sure`.*inf"),
        ({"keep_sure": True}, "`keep_sure`.*True"),
        ({"keep_sure": "4"}, "`keep_sure`.*'4'"),
        ({"size_exponent": -0.1}, r"`size_exponent`.*\[0, 0.5\].*-0.1"),
        ({"size_exponent": 0.51}, "`size_exponent`.*0.51. Above, thresholds of large structures are so high"),
        ({"size_exponent": math.nan}, "`size_exponent`.*nan"),
        ({"size_exponent": True}, "`size_exponent`.*True"),
        ({"size_reference": 0.0}, "`size_reference`.*above 0.*0.0"),
        ({"size_reference": False}, "`size_reference`.*False"),
        ({"keep_peak": 1}, "`keep_peak` to be True or False"),
    ],
)
def test_bad_values_are_refused(make: object, values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**values)


def test_off_in_the_papers_settings_and_bit_for_bit_nothing() -> None:
    assert paper().last_steps == LastSteps()
    score = torch.rand(2, 9, 9)
    assert torch.equal(LastSteps().take(score, torch.rand(2, 9, 9)), score)


@pytest.mark.parametrize(
    "way", [PlainScore(0.25), BlurredScore(1.0, True, 4.0, 0.25), WalkedScore(WalkSettings(3, size_exponent=0.25))]
)
def test_every_kind_of_score_is_levelled(way: PlainScore | BlurredScore | WalkedScore) -> None:
    own, features = torch.rand(2, 12, 12), torch.rand(5, 6, 6)
    without = {**way.settings, "size_exponent": 0.0}
    unlevelled = {
        "plain": lambda: PlainScore(),
        "blur": lambda: BlurredScore(**without),
        "walk": lambda: WalkedScore(WalkSettings(**{k: v for k, v in without.items() if k != "source"})),
    }[way.kind]().make(own, features, spacing=(2.0, 1.5))
    made = way.make(own, features, spacing=(2.0, 1.5))
    torch.testing.assert_close(made, level_by_size(unlevelled, 0.25, spacing=(2.0, 1.5)))
    assert "size_exponent=0.25" in way.name
