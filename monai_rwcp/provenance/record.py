"""Records of how a score was made: joining them over cases, and finding where two differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["UNRECORDED", "VARIES", "compared_fields", "first_difference", "join_provenance"]

UNRECORDED: Mapping[str, Any] = {"record": "unrecorded"}
"""Provenance of a score that carries no record."""

VARIES = "varies"
"""Stands for the spacing of cases that do not share one."""

_MAY_VARY = "spacing"


def join_provenance(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the records of several cases into the one they share.

    Only the spacing may differ from case to case (scans at their native resolution); it then becomes "varies".

    Args:
        records: at least one record, nested dictionaries of JSON values.

    Returns:
        the common record.

    Raises:
        ValueError: when two cases were made in different ways; the message names the field.

    Example:
        >>> join_provenance([{"k": 20, "spacing": [1.0, 1.0]}, {"k": 20, "spacing": [2.0, 2.0]}])
        {'k': 20, 'spacing': 'varies'}
    """
    joined: dict[str, Any] | None = None
    for record in records:
        if joined is None:
            joined = dict(record)
            continue
        if not _same_spacing(joined.get(_MAY_VARY), record.get(_MAY_VARY)):
            joined[_MAY_VARY] = VARIES
        difference = first_difference(joined, record)
        if difference is not None:
            path, one, other = difference
            raise ValueError(
                f"The scores of these cases were not made in one way: {path} is {one!r} for some and {other!r} for "
                "others. Calibrate on scores of one pipeline."
            )
    if joined is None:
        raise ValueError("Expected at least one record to join, but got none.")
    return joined


def first_difference(expected: Mapping[str, Any], got: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """Find the first field in which two records differ.

    Numbers count as equal within a relative tolerance of 1e-3 in the spacing (headers round it) and exactly
    elsewhere; an expected spacing of "varies" equals any.

    Args:
        expected: the record of the calibration.
        got: the record of the score at hand.

    Returns:
        ``(path, expected value, value at hand)``, with None for a field that is absent; None when nothing differs.

    Example:
        >>> first_difference({"walk": {"k": 20}}, {"walk": {"k": 5}})
        ('walk.k', 20, 5)
    """
    differing = ((path, one, other) for path, one, other, equal in compared_fields(expected, got) if not equal)
    return next(differing, None)


def compared_fields(expected: Mapping[str, Any], got: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, bool]]:
    """Go through all fields of two records, as :py:func:`first_difference` compares them.

    Yields:
        ``(path, expected value, value at hand, whether they count as equal)``, with None for a field that is absent.

    Example:
        >>> list(compared_fields({"walk": {"k": 20}, "side": "original"}, {"walk": {"k": 5}, "side": "original"}))
        [('walk.k', 20, 5, False), ('side', 'original', 'original', True)]
    """
    for name in [*expected, *(name for name in got if name not in expected)]:
        one, other = expected.get(name), got.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            for path, *values in compared_fields(one, other):
                yield (f"{name}.{path}", *values)
        elif name == _MAY_VARY:
            yield name, one, other, one == VARIES or _same_spacing(one, other)
        else:
            yield name, one, other, bool(one == other)


def _same_spacing(one: Any, other: Any) -> bool:
    if not isinstance(one, list) or not isinstance(other, list):
        return bool(one == other)
    return len(one) == len(other) and all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(one, other, strict=True))
