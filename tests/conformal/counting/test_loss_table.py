"""Joining loss tables: exact, in any order, each image once."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import CountingOptions, LossTable, calibrate, false_negative_rate_table
from monai_rwcp.provenance import RecordedStep, ScoreRecord


def tables(n: int = 12) -> list[LossTable]:
    generator = torch.Generator().manual_seed(7)
    return [
        false_negative_rate_table(
            torch.rand(3, 6, 6, generator=generator),
            torch.randint(0, 3, (1, 6, 6), generator=generator),
            unit=f"patient {i % 4}",
            image=f"slice {i}",
            unit_name="patient",
        )
        for i in range(n)
    ]


def test_units_pool_their_images() -> None:
    parts = tables()
    joined = LossTable.join(parts)
    assert joined.units == tuple(f"patient {i}" for i in range(4))
    for c in (1, 2):
        for row in range(4):
            own = [part for i, part in enumerate(parts) if i % 4 == row]
            np.testing.assert_array_equal(joined.missed(c)[row], sum(part.missed(c)[0] for part in own))
            assert joined.true(c)[row] == sum(part.true(c)[0] for part in own)


def test_any_order_any_grouping_and_duplicates_give_the_same() -> None:
    parts = tables()
    joined = LossTable.join(parts)
    for seed in range(5):
        shuffled = parts + parts[:5]
        random.Random(seed).shuffle(shuffled)
        other = LossTable.join([LossTable.join(shuffled[:8]), LossTable.join(shuffled[4:])])
        assert other.units == joined.units
        for c in (1, 2):
            np.testing.assert_array_equal(other.missed(c), joined.missed(c))
        for unit_loss in ("pooled", "mean"):
            one = calibrate(joined, 0.4, unit_loss=unit_loss)  # type: ignore[arg-type]
            assert calibrate(other, 0.4, unit_loss=unit_loss).classes == one.classes  # type: ignore[arg-type]


def test_one_id_for_two_images_is_refused() -> None:
    first, second = tables(2)
    impostor = replace(second, images={"slice 0": second.images["slice 1"]})
    with pytest.raises(ValueError, match="'slice 0' stands for two different images.*case_key"):
        LossTable.join([first, impostor])


def test_scores_that_differ_by_rounding_are_one_image() -> None:
    generator = torch.Generator().manual_seed(7)
    # Sure of itself, as trained networks are: near 1 many levels lie within the rounding of float32.
    score = torch.softmax(16 * torch.randn(3, 40, 40, generator=generator), dim=0)
    label = torch.randint(0, 3, (1, 40, 40), generator=generator)
    noise = 1e-6 * torch.randn(3, 40, 40, generator=generator)

    def table(score: torch.Tensor) -> LossTable:
        return false_negative_rate_table(score, label, unit="a")

    one, other = table(score), table((score + noise).clamp(0, 1))
    assert not np.array_equal(one.missed(1), other.missed(1))
    joined, again = LossTable.join([one, other]), LossTable.join([other, one])
    assert len(joined.images) == 1
    np.testing.assert_array_equal(joined.missed(1), again.missed(1))
    assert any(np.array_equal(joined.missed(1), either.missed(1)) for either in (one, other))
    with pytest.raises(ValueError, match="stands for two different images"):
        LossTable.join([one, table((score + 1e4 * noise).clamp(0, 1))])


def test_one_more_voxel_is_another_image() -> None:
    score, label = torch.full((2, 3, 3), 0.5), torch.zeros(1, 3, 3)
    label[0, 0, 0] = 1
    one = false_negative_rate_table(score, label, unit="a")
    label[0, 0, 1] = 1
    with pytest.raises(ValueError, match="stands for two different images"):
        LossTable.join([one, false_negative_rate_table(score, label, unit="a")])
    label[:] = 0
    empty = false_negative_rate_table(score, label, unit="a")
    assert len(LossTable.join([empty, empty]).images) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_channels", 4),
        ("classes", (1,)),
        ("level_grid", "logit-2"),
    ],
)
def test_tables_of_different_kinds_are_refused(name: str, value: object) -> None:
    first, second = tables(2)
    with pytest.raises(ValueError, match=name):
        LossTable.join([first, replace(second, **{name: value})])


@pytest.mark.parametrize(
    ("name", "value"),
    [("label_mode", "one_hot"), ("include_background", True), ("masked", True)],
)
def test_what_was_counted_otherwise_is_named(name: str, value: object) -> None:
    first, second = tables(2)
    other = replace(second, counting=replace(second.counting, **{name: value}))
    with pytest.raises(
        ValueError, match=f"`{name}` is {getattr(first.counting, name)!r} for '.+' and {value!r} for '.+'"
    ):
        LossTable.join([first, other])


def test_tables_join_and_calibrate_however_a_loss_of_a_unit_will_be_made() -> None:
    table = LossTable.join(tables(2))
    assert table.counting == CountingOptions()
    with pytest.warns(UserWarning, match="more are needed"):
        calibration = calibrate(table, empty="zero", unit_loss="mean")
    assert calibration.counting == CountingOptions(empty="zero", unit_loss="mean")


def test_scores_made_in_two_ways_are_refused() -> None:
    first, second = tables(2)
    with pytest.raises(ValueError, match=r"walk\.k is 20 for some and 5"):
        LossTable.join(
            [
                replace(first, provenance=ScoreRecord(steps=(RecordedStep("walk", {"k": 20}),))),
                replace(second, provenance=ScoreRecord(steps=(RecordedStep("walk", {"k": 5}),))),
            ]
        )


def test_nothing_to_join_and_unknown_class() -> None:
    with pytest.raises(ValueError, match="at least one"):
        LossTable.join([])
    with pytest.raises(KeyError, match="Class 7"):
        tables(1)[0].missed(7)
