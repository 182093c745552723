"""Whether JSON values are of the types that a document has to have."""

from __future__ import annotations

import math
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["check_types"]


def check_types(value: Any, kind: Any, where: str) -> None:
    """Refuse a JSON value that is of another type.

    Args:
        value: as the JSON reader gave it.
        kind: a `TypedDict` (other entries may stand beside its own), ``dict[str, T]``, ``list[T]``, a union, ``int``
            (of 64 bits), ``float`` (finite; whole numbers, too), ``str``, ``bool``, ``None`` or `Any`.
        where: what the value is called, for the message.

    Raises:
        ValueError: when it is; the message names the entry.

    Example:
        >>> check_types({"n": [1, 2]}, dict[str, list[int]], "counts")
        >>> check_types({"n": [1, "2"]}, dict[str, list[int]], "counts")
        Traceback (most recent call last):
        ValueError: counts.n[1] is '2', which is no whole number
    """
    if kind is Any:
        return
    origin, parts = get_origin(kind), get_args(kind)
    if is_typeddict(kind) and isinstance(value, dict):
        for name, hint in get_type_hints(kind, include_extras=True).items():
            optional = get_origin(hint) is NotRequired
            if name in value:
                check_types(value[name], get_args(hint)[0] if optional else hint, f"{where}.{name}")
            elif kind.__total__ and not optional:
                raise ValueError(f"{where} lacks '{name}'")
    elif origin is dict and isinstance(value, dict):
        for name, part in value.items():
            check_types(part, parts[1], f"{where}.{name}")
    elif origin is list and isinstance(value, list):
        for number, part in enumerate(value):
            check_types(part, parts[0], f"{where}[{number}]")
    elif origin in (Union, UnionType):
        _check_union(value, parts, where)
    elif not _is_plain(value, kind):
        raise ValueError(f"{where} is {value!r:.60}, which is no {_name(kind)}")


def _check_union(value: Any, kinds: tuple[Any, ...], where: str) -> None:
    if value is None and NoneType in kinds:
        return
    kinds = tuple(kind for kind in kinds if kind is not NoneType)
    if len(kinds) == 1:
        # One that may be missing: what is wrong within it is named.
        check_types(value, kinds[0], where)
        return
    for kind in kinds:
        try:
            check_types(value, kind, where)
        except ValueError:
            continue
        return
    raise ValueError(f"{where} is {value!r:.60}, which is no {' and no '.join(map(_name, kinds))}")


def _is_plain(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(value == known and type(value) is type(known) for known in get_args(kind))
    if kind is int:
        return type(value) is int and abs(value) < 2**63
    if kind is float:
        return type(value) in (int, float) and abs(value) < 2**1023 and math.isfinite(value)
    return type(value) is kind


def _name(kind: Any) -> str:
    names = {int: "whole number", float: "finite number", str: "text", bool: "true or false", NoneType: "null"}
    if kind in names:
        return names[kind]
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    return "list" if get_origin(kind) is list else "object with names"
