"""What is counted, as one object."""

from __future__ import annotations

from typing import Any

import pytest

from monai_rwcp.conformal import CountingOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_mode": "onehot"}, "Expected `label_mode` to be one of index, one_hot, regions, but got 'onehot'"),
        ({"empty": "drop"}, "Expected `empty` to be one of exclude, zero, but got 'drop'"),
        ({"unit_loss": ["pooled"]}, r"Expected `unit_loss` to be one of pooled, mean, but got \['pooled'\]"),
        ({"masked": "no"}, "Expected `masked` to be True or False, but got 'no'"),
        ({"include_background": 1}, "Expected `include_background` to be True or False, but got 1"),
    ],
)
def test_what_is_not_offered_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CountingOptions(**options)


def test_regions_have_no_background_to_leave_out() -> None:
    assert CountingOptions("regions", include_background=True) == CountingOptions("regions")
    assert CountingOptions("regions").classes(3) == (0, 1, 2)
    assert CountingOptions("index").classes(3) == CountingOptions("one_hot").classes(3) == (1, 2)
    assert CountingOptions("index", include_background=True).classes(3) == (0, 1, 2)


def test_a_table_leaves_open_how_a_loss_of_a_unit_is_made() -> None:
    options = CountingOptions("one_hot", True, True, "zero", "mean")
    assert options.of_table() == CountingOptions("one_hot", True, True, "exclude", "pooled")
