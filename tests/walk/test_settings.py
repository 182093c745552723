"""The settings of a walk and their checks."""

from __future__ import annotations

import json

import pytest

from monai_rwcp.walk import WalkSettings, paper, recommended


def test_named_settings() -> None:
    assert dict(**paper()) == {
        "k": 20, "beta": 50.0, "n_steps": 10, "restart": 0.0, "center": False, "spatial_weight": 0.0, "grid": "features",
    }  # fmt: skip
    assert dict(**recommended()) == {
        "k": 20, "beta": 20.0, "n_steps": 20, "restart": 0.2, "center": True, "spatial_weight": 3.0, "grid": 4,
    }  # fmt: skip


def test_settings_are_json() -> None:
    assert WalkSettings(**json.loads(json.dumps({**recommended()}))) == recommended()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", 0), ("k", 2.0), ("k", True), ("n_steps", -1), ("beta", -0.1), ("beta", float("nan")), ("beta", float("inf")),
        ("restart", 1.0), ("restart", "0.2"), ("spatial_weight", -1), ("center", 1), ("grid", 0), ("grid", "fine"),
    ],
)  # fmt: skip
def test_bad_settings(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        WalkSettings(**{name: value})  # type: ignore[arg-type]
