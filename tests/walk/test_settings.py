"""The settings of a walk and their checks."""

from __future__ import annotations

import json

import pytest

from monai_rwcp.walk import Neighborhood, WalkSettings, paper, recommended


def test_named_settings() -> None:
    assert dict(**paper()) == {
        "k": 20, "beta": 50.0, "n_steps": 10, "restart": 0.0, "center": False, "spatial_weight": 0.0, "grid": "features",
        "neighborhood": "volume", "slice_axis": -1, "keep_peak": False, "keep_sure": None, "size_exponent": 0.0, "size_reference": 1.0,
    }  # fmt: skip
    assert dict(**recommended()) == {
        "k": 20, "beta": 20.0, "n_steps": 20, "restart": 0.2, "center": True, "spatial_weight": 3.0, "grid": 4,
        "neighborhood": "volume", "slice_axis": -1, "keep_peak": False, "keep_sure": None, "size_exponent": 0.0, "size_reference": 1.0,
    }  # fmt: skip


def test_strides_are_json() -> None:
    settings = WalkSettings(grid=(4, 4, 1))
    read = json.loads(json.dumps({**settings}))
    assert read["grid"] == [4, 4, 1]
    assert WalkSettings(**read) == settings


@pytest.mark.parametrize("neighborhood", ["volume", "slice", ("slices", 2)])
def test_neighborhoods_are_json(neighborhood: Neighborhood) -> None:
    settings = WalkSettings(neighborhood=neighborhood, slice_axis=0)
    read = json.loads(json.dumps({**settings}))
    assert read == {**settings}
    assert WalkSettings(**read) == settings


def test_settings_are_json() -> None:
    assert WalkSettings(**json.loads(json.dumps({**recommended()}))) == recommended()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", 0), ("k", 2.0), ("k", True), ("n_steps", -1), ("beta", -0.1), ("beta", float("nan")), ("beta", float("inf")),
        ("restart", 1.0), ("restart", "0.2"), ("spatial_weight", -1), ("center", 1), ("keep_peak", "yes"), ("grid", 0), ("grid", "fine"), ("grid", (4, 0)), ("grid", []), ("grid", (4, 2.0)),
        ("neighborhood", "slices"), ("neighborhood", ("slices",)), ("neighborhood", ("slices", -1)), ("neighborhood", None),
        ("neighborhood", ["slices", 1.5]), ("slice_axis", 3), ("slice_axis", -4), ("slice_axis", 1.0), ("slice_axis", "z"), ("slice_axis", True),
    ],
)  # fmt: skip
def test_bad_settings(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        WalkSettings(**{name: value})  # type: ignore[arg-type]
