"""What calibration says of truth whose score is exactly 0."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from monai_rwcp.conformal import Calibration, LossTable, SurfaceFalseNegativeRate, calibrate, case_loss_table
from monai_rwcp.conformal.counting.image_counts import TrueVoxels

SIDE = 40  # 1600 voxels, of which 1000 are true


def case(number: int, zeros: int = 0, score_of_truth: float = 0.6, **options: object) -> LossTable:
    """One image; the first true voxels score 0, and nothing that is not true does but the last row."""
    generator = torch.Generator().manual_seed(number)
    score = 0.3 * torch.rand(2, SIDE, SIDE, generator=generator) + 0.01
    label = torch.zeros(1, SIDE, SIDE)
    label[0, :25] = 1
    score[1, :25] += score_of_truth
    score[1].flatten()[:zeros] = 0
    score[:, -1] = 0
    given: dict = {"loss": "fnr", "unit": f"{number:02d}", **options}
    return case_loss_table(score, label, **given)


def table(zeros: dict[int, int], n: int = 30, **options: object) -> LossTable:
    return LossTable.join(case(i, zeros.get(i, 0), **options) for i in range(n))


def said(of: LossTable, *args: object, **options: object) -> tuple[Calibration, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = calibrate(of, *args, **options)  # type: ignore[arg-type]
    return found, [str(w.message) for w in caught]


def test_zeros_of_the_background_are_nothing_to_speak_of() -> None:
    found, messages = said(table({}))
    assert messages == []
    assert found.threshold[1] > 0.5


def test_more_than_a_thousandth_is_told_and_no_less() -> None:
    # 30 of 30 000 voxels are a thousandth.
    assert said(table({3: 30}))[1] == []
    found, messages = said(table({3: 30, 7: 1}), class_names=["background", "liver"])
    assert len(messages) == 1
    for part in (
        "31 of the 30000 true voxels of liver (0.103 %) lie where its score is exactly 0",
        "in 2 of 30 images that show it: '03' (30 of 1000), '07' (1 of 1000). ",
        "Sets miss them, unless they are the whole image. ",
        "is the field of view of the maps cut off (by a crop or a mask), is a label on another grid than its map",
    ):
        assert part in messages[0]
    assert found.threshold[1] > 0.5


def test_the_three_worst_images_are_named() -> None:
    _, messages = said(table({1: 5, 2: 50, 3: 20, 4: 20, 5: 1}))
    assert (
        "in 5 of 30 images that show it: '02' (50 of 1000), '03' (20 of 1000), '04' (20 of 1000), ...." in messages[0]
    )


def test_small_scores_are_no_zeros() -> None:
    """Counted exactly: what lies below the first threshold, too, is a score."""
    assert said(table(dict.fromkeys(range(30), 20), score_of_truth=0.0))[1]
    tiny = [
        case_loss_table(torch.full((2, 1, 5), 1e-39), torch.ones(1, 1, 5), loss="fnr", unit=str(i)) for i in range(30)
    ]
    assert tiny[0].missed(1)[0, 1] == 5
    found, messages = said(LossTable.join(tiny))
    assert found.threshold[1] == 0
    assert messages == []


@pytest.mark.parametrize(
    ("zeros", "whole"),
    # The sum of the shares missed may be .1 * 31 - 1 = 2.1.
    [({0: 1000, 1: 1000, 2: 100}, False), ({0: 1000, 1: 1000, 2: 101}, True)],
)
def test_where_zeros_hold_more_than_alpha_allows_the_set_is_the_whole_image_and_why(
    zeros: dict[int, int], whole: bool
) -> None:
    found, (message,) = said(table(zeros))
    assert (found.threshold[1] == 0) == whole
    why = (
        "Counted by image, that is more than the promise allows to be missed, and nothing but the whole image holds a "
        "voxel whose score is 0. So the prediction set is the whole image, which keeps the promise but "
        "says nothing."
    )
    assert (why in message) == whole
    assert ("Sets miss them" in message) != whole
    assert ("its prediction set is the whole image, so this says nothing" in found.promise) == whole


def test_a_few_voxels_may_be_all_of_a_patient() -> None:
    """Below a thousandth of all voxels, but more than alpha of many patients."""
    tables = [case(i) for i in range(30)]
    small = torch.zeros(1, SIDE, SIDE)
    small[0, 0, :2] = 1
    score = torch.full((2, SIDE, SIDE), 0.4)
    score[:, 0, :2] = 0
    tables += [case_loss_table(score, small, loss="fnr", unit=f"small {i}") for i in range(6)]
    found, (message,) = said(LossTable.join(tables))
    assert found.threshold[1] == 0
    assert "12 of the 30012 true voxels of class 1 (0.04 %)" in message
    assert "nothing but the whole image holds" in message


def test_with_too_few_units_the_zeros_are_not_the_reason() -> None:
    _, messages = said(table({1: 500}, n=5))
    assert len(messages) == 2
    assert "more are needed" in messages[0]
    assert "Sets miss them" in messages[1]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("tolerance", {"tau": 0.8}),
        ("rcps", {"delta": 0.1}),
        ("rcps", {"delta": 0.1, "bound": "betting"}),
    ],
)
def test_every_kind_of_promise_says_why(method: str, options: dict[str, object]) -> None:
    half = table(dict.fromkeys(range(0, 60, 2), 900), n=60)
    found, (message,) = said(half, 0.2, method, **options)
    assert found.threshold[1] == 0
    assert "nothing but the whole image holds" in message
    found, messages = said(table({}, n=60), 0.2, method, **options)
    assert found.threshold[1] > 0.5
    assert messages == []


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "instance_fnr"},
        {"loss": SurfaceFalseNegativeRate(1.0), "spacing": (1.0, 1.0)},
        {"loss": "weighted_fnr", "weight": torch.ones(1, SIDE, SIDE)},
    ],
)
def test_voxels_are_counted_whatever_the_loss_counts(options: dict[str, object]) -> None:
    found, (message,) = said(table(dict.fromkeys(range(30), 900), **options))
    assert "27000 of the 30000 true voxels" in message
    assert ("nothing but the whole image" in message) == (found.threshold[1] == 0)


def test_an_inner_set_is_not_the_whole_image() -> None:
    found, (message,) = said(table(dict.fromkeys(range(30), 900), loss="inner"))
    assert found.threshold[1] > 0
    assert "Sets miss them" in message


def test_a_group_whose_sets_are_the_whole_image_is_named() -> None:
    groups = [case(i, 700 if i < 10 else 0, group="old" if i < 10 else "new") for i in range(60)]
    found, messages = said(LossTable.join(groups), 0.2, by_group=True)
    assert found.groups is not None
    assert found.groups["old"][1].threshold == 0 < found.groups["new"][1].threshold
    assert found.threshold[1] > 0
    assert len(messages) == 2
    assert "Sets miss them" in messages[0]
    assert "7000 of the 10000 true voxels of class 1 in the group 'old'" in messages[1]
    assert "nothing but the whole image" in messages[1]


def test_weighted_calibrations_say_why_only_where_it_is_so_for_every_case() -> None:
    tables = LossTable.join(case(i, 700 if i < 10 else 0, shift_weight=1.0) for i in range(60))
    heavy = {unit: 10.0 if unit < "10" else 1.0 for unit in tables.units}
    found, (message,) = said(tables, 0.2, weights=heavy)
    assert found.thresholds_for(weight=0.0)[1] == 0
    assert "nothing but the whole image" in message
    found, (message,) = said(tables, 0.2, weights=dict.fromkeys(tables.units, 1.0))
    assert found.thresholds_for(weight=1.0)[1] > 0
    assert "Sets miss them" in message


def test_only_counted_voxels_count() -> None:
    mask = torch.ones(1, SIDE, SIDE)
    mask[0, 0] = 0  # where the zeros are
    assert said(table(dict.fromkeys(range(30), SIDE), mask=mask))[1] == []
    assert len(said(table(dict.fromkeys(range(30), SIDE)))[1]) == 1


@pytest.mark.parametrize("slab", [1, 2**21])
def test_slabs_files_and_joins_keep_the_count(slab: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_rwcp.conformal.counting.count_case._SLAB_VOXELS", slab)
    first = table({3: 30, 7: 41})
    first.save(tmp_path / "a.json")
    again = LossTable.load(tmp_path / "a.json")
    assert again.images["07"].true_voxels == {1: TrueVoxels(1000, 41)}
    joined = LossTable.join([again, first, table({3: 30, 7: 41}, n=8)])
    assert said(joined)[1] == said(first)[1] != []


def test_an_image_seen_twice_counts_once_also_where_rounding_made_a_zero() -> None:
    """In half precision 2e-8 is 0; which of the two counts is kept does not depend on their order."""
    score = torch.full((2, 1, 4), 0.5)
    score[1, 0, 0] = 2e-8
    label = torch.ones(1, 1, 4)
    one, other = (case_loss_table(s, label, loss="fnr", unit="a") for s in (score, score.half()))
    assert (one.images["a"].true_voxels[1].at_zero, other.images["a"].true_voxels[1].at_zero) == (0, 1)
    joined = [LossTable.join(pair).images["a"].true_voxels for pair in ([one, other], [other, one])]
    assert joined[0] == joined[1]
    label[..., 3] = 0
    less = case_loss_table(score, label, loss="fnr", unit="a")
    for two in ([one, less], [replace(one, images={"a": replace(one.images["a"], true_voxels={1: (3, 0)})}), less]):
        with pytest.raises(ValueError, match="stands for two different images"):
            LossTable.join(two)
