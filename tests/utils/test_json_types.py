"""Values of JSON are of the types that they should be, or named."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

import pytest

from monai_rwcp.utils.json_types import check_types


class Entry(TypedDict):
    name: str
    n: int
    share: float | None
    more: NotRequired[list[int]]


GOOD: dict[str, Any] = {"name": "anna", "n": 3, "share": 0.5, "more": [1, -2], "other": object()}


@pytest.mark.parametrize("change", [{}, {"share": None}, {"share": 1}, {"more": []}, {"n": -(2**63) + 1}])
def test_what_is_right_passes(change: dict[str, Any]) -> None:
    check_types(GOOD | change, Entry, "it")
    check_types({"a": [GOOD | change]}, dict[str, list[Entry]], "it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "it.name is None, which is no text"),
        ({"n": True}, "it.n is True, which is no whole number"),
        ({"n": 2.0}, "it.n is 2.0, which is no whole number"),
        ({"n": 10**400}, "it.n is 1000"),
        ({"share": "0.5"}, "it.share is '0.5', which is no finite number"),
        ({"share": float("nan")}, "it.share is nan"),
        ({"share": float("inf")}, "it.share is inf"),
        ({"share": 10**400}, "it.share is 1000"),
        ({"share": False}, "it.share is False"),
        ({"more": {"0": 1}}, "it.more is {'0': 1}, which is no list"),
        ({"more": [1, None]}, "it.more\\[1\\] is None"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        check_types(GOOD | change, Entry, "it")


@pytest.mark.parametrize("value", [None, [], "text", 3, [GOOD]])
def test_what_is_no_object_at_all_is_named(value: Any) -> None:
    with pytest.raises(ValueError, match="it is .*, which is no object with names"):
        check_types(value, Entry, "it")
    with pytest.raises(ValueError, match="it is .*, which is no object with names"):
        check_types(value, dict[str, int], "it")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="it lacks 'n'"):
        check_types({"name": "anna", "share": None}, Entry, "it")


def test_one_of_several_kinds() -> None:
    kind = list[float] | Literal["varies"] | None
    for right in ([1, 2.5], "varies", None):
        check_types(right, kind, "it")
    for wrong in ("vary", ["varies"], 2.5, {}):
        with pytest.raises(ValueError, match="it is .*, which is no list and no one of 'varies'"):
            check_types(wrong, kind, "it")
