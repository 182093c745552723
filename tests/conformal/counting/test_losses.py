"""Every loss against its definition, set by set and by brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.special import xlogy
from scipy.stats import binom

from monai_rwcp.conformal import (
    CustomLoss,
    FalseDiscoveryProportion,
    FalseNegativeRate,
    InnerSetLoss,
    InstanceFalseNegativeRate,
    LossTable,
    SetLoss,
    SurfaceFalseNegativeRate,
    WeightedFalseNegativeRate,
    calibrate,
    case_loss_table,
    false_negative_rate_table,
    threshold_levels,
)
from monai_rwcp.conformal.counting.losses.choice import loss_from
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.counting.unit_losses import UnitLosses

SPACING = {2: (0.8, 1.5), 3: (0.8, 1.5, 2.0)}


def case(
    number: int, shape: tuple[int, ...] = (9, 10), zeros: bool = True
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A smooth score, a truth that it half knows, and a weight map; a strip of the score is exactly 0."""
    random = np.random.default_rng(number)
    field = ndimage.gaussian_filter(random.normal(size=shape), 1.2)
    truth = field > np.quantile(field, 0.7)
    logit = 9 * field + random.normal(0, 1.5, shape)
    one = 1 / (1 + np.exp(-logit))
    score = torch.tensor(np.stack([1 - one, one]), dtype=torch.float32)
    score[:, 0] *= not zeros
    weight = torch.tensor(random.integers(0, 4, shape) / 2)
    return score, torch.tensor(truth)[None].long(), weight[None]


def brute_fnr(found: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    return (truth & ~found).sum() / truth.sum()


def brute_weighted(found: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    return weight[truth & ~found].sum() / weight[truth].sum()


def brute_instances(fraction: float) -> Callable[..., float]:
    def loss(found: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
        pieces, n = ndimage.label(truth)
        return sum((pieces == i)[found].sum() < fraction * (pieces == i).sum() - 1e-9 for i in range(1, n + 1)) / n

    return loss


def brute_surface(radius: float) -> Callable[..., float]:
    def loss(found: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
        surface = truth & ~ndimage.binary_erosion(truth, border_value=1)
        points = np.argwhere(surface) * SPACING[truth.ndim]
        covered = np.argwhere(found) * SPACING[truth.ndim]
        far = [not len(covered) or np.linalg.norm(covered - p, axis=1).min() > radius + 1e-9 for p in points]
        return float(np.mean(far))

    return loss


def brute_inner(found: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    return min(1.0, (found & ~truth).sum() / truth.sum())


def brute_discovery(found: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> float:
    return (found & ~truth).sum() / max(found.sum(), 1)


LOSSES: list[tuple[SetLoss, Callable[..., float]]] = [
    (FalseNegativeRate(), brute_fnr),
    (WeightedFalseNegativeRate(), brute_weighted),
    (InstanceFalseNegativeRate(0.5), brute_instances(0.5)),
    (InstanceFalseNegativeRate(0.3), brute_instances(0.3)),
    (InstanceFalseNegativeRate(1.0), brute_instances(1.0)),
    (SurfaceFalseNegativeRate(0.0), brute_surface(0.0)),
    (SurfaceFalseNegativeRate(1.5), brute_surface(1.5)),
    (SurfaceFalseNegativeRate(3.1), brute_surface(3.1)),
    (InnerSetLoss(), brute_inner),
    (FalseDiscoveryProportion(), brute_discovery),
]


def table_of(
    loss: SetLoss, number: int, shape: tuple[int, ...] = (9, 10), zeros: bool = True, **options: object
) -> LossTable:
    score, label, weight = case(number, shape, zeros)
    given: dict = {"weight": weight} if loss.needs_weight else {}
    if loss.needs_spacing:
        given["spacing"] = SPACING[len(shape)]
    given = {"unit": f"{number:03d}", **given, **options}
    return case_loss_table(score, label, loss=loss, **given)


@pytest.mark.parametrize(("loss", "brute"), LOSSES, ids=[str(loss) for loss, _ in LOSSES])
@pytest.mark.parametrize("shape", [(9, 10), (5, 7, 6)])
def test_every_loss_is_its_definition_at_every_threshold(
    loss: SetLoss, brute: Callable[..., float], shape: tuple[int, ...]
) -> None:
    for number in range(3):
        score, label, weight = case(number, shape)
        losses = UnitLosses(table_of(loss, number, shape), 1, CountingOptions())
        truth = label[0].numpy() == 1
        steps = np.unique(np.linspace(0, len(losses.thresholds) - 1, 60).astype(int))
        for step in steps:
            found = score[1].double().numpy() >= losses.thresholds[step]
            assert losses.by_unit[0, step] == pytest.approx(brute(found, truth, weight[0].numpy()), abs=1e-12), step
        assert losses.by_unit[0, 0] == 0
        assert losses.by_unit.max() > 0
        if loss.monotone:
            assert (np.diff(losses.by_unit) >= 0).all()


def test_losses_of_a_patient_are_pooled_over_the_images() -> None:
    for loss in (FalseDiscoveryProportion(), InnerSetLoss(), InstanceFalseNegativeRate()):
        tables = [table_of(loss, i, unit="anna", image=str(i)) for i in range(3)]
        joined = UnitLosses(LossTable.join(tables), 1, CountingOptions())
        score, label = (torch.cat([case(i)[k] for i in range(3)], dim=-1) for k in (0, 1))
        if isinstance(loss, InstanceFalseNegativeRate):  # side by side pieces would grow together
            gap = torch.zeros(2, 9, 1)
            score = torch.cat([x for i in range(3) for x in (case(i)[0], gap)], dim=-1)
            label = torch.cat([x for i in range(3) for x in (case(i)[1], gap[:1].long())], dim=-1)
        together = UnitLosses(case_loss_table(score, label, loss=loss, unit="anna"), 1, CountingOptions())
        np.testing.assert_allclose(joined.by_unit, together.by_unit, atol=1e-15)


@pytest.mark.parametrize(("loss", "brute"), LOSSES, ids=[str(loss) for loss, _ in LOSSES])
def test_a_mask_leaves_voxels_out(loss: SetLoss, brute: Callable[..., float]) -> None:
    score, label, weight = case(5)
    mask = torch.ones(1, 9, 10)
    mask[:, :, 6:] = 0
    changed = label.clone()
    changed[:, :, 6:] = 77  # is not read
    options: dict = {"weight": weight} if loss.needs_weight else {}
    options |= {"spacing": SPACING[2]} if loss.needs_spacing else {}
    found = case_loss_table(score, changed, loss=loss, unit="a", mask=mask, **options)
    losses = UnitLosses(found, 1, CountingOptions())
    cut = (label[0] == 1).numpy() & (mask[0] != 0).numpy()
    counted = (mask[0] != 0).numpy()
    for step in range(0, len(losses.thresholds), 331):
        inside = score[1].double().numpy() >= losses.thresholds[step]
        if isinstance(loss, SurfaceFalseNegativeRate):
            # Only against voxels that count: the mask's own edge is no surface.
            other = counted & ~cut
            surface = cut & ndimage.binary_dilation(other)
            points, covered = np.argwhere(surface) * SPACING[2], np.argwhere(inside) * SPACING[2]
            far = [not len(covered) or np.linalg.norm(covered - p, axis=1).min() > loss.radius + 1e-9 for p in points]
            expected = float(np.mean(far))
        else:
            expected = brute(inside & counted if loss.of_excess else inside, cut, weight[0].numpy())
        assert losses.by_unit[0, step] == pytest.approx(expected, abs=1e-12)


def any_missed(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((truth & ~found).any())


def test_a_custom_loss_is_its_function_at_its_thresholds() -> None:
    def mean_missed(found: torch.Tensor, truth: torch.Tensor) -> float:
        missed = int((truth & ~found).sum()) / int(truth.sum())
        truth[:] = False  # which must not reach anything
        return missed

    losses = UnitLosses(table_of(CustomLoss("own", mean_missed), 3), 1, CountingOptions())
    true = UnitLosses(table_of(FalseNegativeRate(), 3), 1, CountingOptions())
    steps = np.unique(np.linspace(0, len(threshold_levels()) - 1, 128).round().astype(int))
    np.testing.assert_allclose(losses.by_unit[0, steps], true.by_unit[0, steps], atol=1e-9)
    assert (losses.by_unit >= true.by_unit - 1e-12).all()  # between them it is the larger one
    assert (losses.by_unit[0, steps] >= true.by_unit[0, steps] - 1e-15).all()  # rounded up


def test_the_chosen_threshold_of_a_custom_loss_is_one_it_was_computed_at() -> None:
    tables = [table_of(CustomLoss("any", any_missed), i, zeros=False) for i in range(25)]
    found = calibrate(LossTable.join(tables), 0.3)
    steps = np.unique(np.linspace(0, len(threshold_levels()) - 1, 128).round().astype(int))
    assert found.threshold[1] in threshold_levels()[steps].astype(float)
    assert 0 < found.threshold[1] < 1
    assert 'the highest possible loss "any" of class 1 is reached' in found.promise


def test_a_loss_that_rises_with_the_set_is_refused_or_enveloped() -> None:
    def bumpy(found: torch.Tensor, truth: torch.Tensor) -> float:
        share = float(found.float().mean())
        return 0.0 if share == 1 else 0.5 + 0.4 * math.cos(20 * share)

    with pytest.raises(ValueError, match="rises as the set grows: from .* Use monotone_by="):
        table_of(CustomLoss("bumpy", bumpy), 3)
    envelope = UnitLosses(table_of(CustomLoss("bumpy", bumpy, monotone_by="envelope"), 3), 1, CountingOptions())
    steps = np.unique(np.linspace(0, len(threshold_levels()) - 1, 128).round().astype(int))
    score = case(3)[0]
    raw = [bumpy(score[1] >= float(threshold_levels()[j]), torch.tensor(0)) for j in steps]
    np.testing.assert_allclose(envelope.by_unit[0, steps], np.maximum.accumulate(raw), atol=1e-9)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda found, truth: 1.5, r"\[0, 1\]"),
        (lambda found, truth: -0.1, r"\[0, 1\]"),
        (lambda found, truth: math.nan, "nan"),
        (lambda found, truth: 0.2, "whole image is 0.2"),
        (None, "not known"),
    ],
)
def test_custom_losses_that_cannot_be_calibrated(function: Callable | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_of(CustomLoss("bad", function), 3)


def test_images_without_the_class_do_not_call_the_function() -> None:
    score, label, _ = case(1)
    table = case_loss_table(score, label * 0, loss=CustomLoss("any", None), unit="a")
    assert table.true(1).tolist() == [0]


def test_inner_sets_keep_their_promise_by_being_small() -> None:
    tables = [table_of(InnerSetLoss(), i) for i in range(40)]
    found = calibrate(LossTable.join(tables), 0.1)
    losses = UnitLosses(LossTable.join(tables), 1, CountingOptions())
    step = int(np.flatnonzero(losses.thresholds == found.threshold[1])[0])
    allowed = 0.1 * 41 - 1
    assert losses.by_unit[:, step].sum() <= allowed < losses.by_unit[:, step + 1].sum()
    assert "claimed wrongly" in found.promise
    few = pytest.warns(UserWarning, match="inner set is empty")
    with few:
        empty = calibrate(LossTable.join(tables[:8]), 0.1)
    assert empty.threshold == {1: 2.0}
    assert "its inner set is empty, so this says nothing" in empty.promise


def test_learn_then_test_stops_at_the_first_failure() -> None:
    table = LossTable.join([table_of(FalseDiscoveryProportion(), i) for i in range(60)])
    found = calibrate(table, 0.3, "ltt", delta=0.1)
    losses = UnitLosses(table, 1, CountingOptions())
    means = np.minimum(losses.by_unit.mean(axis=0), 0.3)
    entropy = xlogy(means, means / 0.3) + xlogy(1 - means, (1 - means) / 0.7)
    bentkus = math.e * binom.cdf(np.ceil(losses.by_unit.sum(axis=0) - 1e-9), 60, 0.3)
    rejected = (np.minimum(np.exp(-60 * entropy), bentkus) <= 0.1).tolist()
    first = rejected.index(False)
    assert 1 < first < len(rejected) - 1
    assert found.threshold[1] == losses.thresholds[first - 1]


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("false_discovery", {}, 'use method="ltt"'),
        ("fnr", {"method": "ltt", "delta": 0.1}, 'method="rcps" promises the same'),
        ("inner", {"empty": "zero"}, 'empty="exclude"'),
    ],
)
def test_promises_that_a_loss_cannot_have(loss: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate(LossTable.join([table_of(loss_from(loss), i) for i in range(12)]), 0.1, **options)


def test_names_of_losses() -> None:
    assert loss_from("inner") == InnerSetLoss()
    for wrong, message in (("dice", "one of"), ("surface_fnr", "SurfaceFalseNegativeRate"), (3, "one of")):
        with pytest.raises(ValueError, match=message):
            loss_from(wrong)  # type: ignore[arg-type]
    for make, message in (
        (lambda: InstanceFalseNegativeRate(0), "fraction"),
        (lambda: SurfaceFalseNegativeRate(-1), "radius"),
        (lambda: SurfaceFalseNegativeRate(math.inf), "radius"),
        (lambda: CustomLoss("", any_missed), "title"),
        (lambda: CustomLoss("a", any_missed, monotone_by="hope"), "monotone_by"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("weighted_fnr", {}, "needs a weight map"),
        ("fnr", {"weight": torch.ones(1, 9, 10)}, "no use for it"),
        ("weighted_fnr", {"weight": torch.ones(9, 10)}, "weight map of shape"),
        ("weighted_fnr", {"weight": -torch.ones(1, 9, 10)}, "weights from 0"),
        ("weighted_fnr", {"weight": torch.full((1, 9, 10), math.nan)}, "weights from 0"),
        ("weighted_fnr", {"weight": torch.zeros(1, 9, 10)}, "some weight above"),
        (SurfaceFalseNegativeRate(1.0), {}, "2 voxel sizes"),
        (SurfaceFalseNegativeRate(1.0), {"spacing": (1.0, 0.0)}, "above 0"),
        (SurfaceFalseNegativeRate(1.0), {"spacing": (1.0, 1.0, 1.0)}, "2 voxel sizes"),
    ],
)
def test_bad_maps(loss: SetLoss | str, options: dict, message: str) -> None:
    score, label, _ = case(0)
    with pytest.raises(ValueError, match=message):
        case_loss_table(score, label, loss=loss, unit="a", **options)  # type: ignore[arg-type]


def test_tables_of_different_losses_are_not_joined() -> None:
    for one, other in itertools.combinations([loss for loss, _ in LOSSES], 2):
        with pytest.raises(ValueError, match="`loss`"):
            LossTable.join([table_of(one, 0), table_of(other, 1)])


def test_the_short_name_is_the_same_table() -> None:
    score, label, _ = case(2)
    one = case_loss_table(score, label, loss="fnr", unit="a")
    other = false_negative_rate_table(score, label, unit="a")
    assert one.to_document() == other.to_document()
    with pytest.raises(ValueError, match="counts no wrong claims"):
        one.claimed_wrongly(1)
