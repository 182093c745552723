"""Files that are almost right: one value, field, member or byte of a good one is another."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Iterator
from random import Random
from typing import Any

import nibabel
import numpy as np

from monai_rwcp.utils.json_documents import digest

__all__ = ["mutated_bytes", "mutated_json", "mutated_nifti", "mutated_npz"]

WRONG: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 2.5, -0.5, 1e308, 10**400, "", "text", "0.1", "../x", "a\nb", [], [1], [None], ["a", "b"], {},
    {"a": 1}, [[]], {"0": {}},
)  # fmt: skip
"""Values of every type that JSON has, none of which says what it should."""


def mutated_json(document: Any, random: Random) -> str:
    """A JSON text that differs from a document in one place; its digest fits, where it has one."""
    found = copy.deepcopy(document)
    places = list(_places(found))
    holder, key = random.choice(places)
    way = random.choice(("value", "value", "value", "missing", "more", "whole"))
    if way == "whole":
        found = random.choice(WRONG)
    elif way == "missing":
        del holder[key]
    elif way == "more" and isinstance(holder, dict):
        holder[random.choice(("x", "0", "99", ""))] = random.choice(WRONG)
    else:
        holder[key] = random.choice(WRONG)
    if isinstance(found, dict) and isinstance(found.get("digest"), str):
        found["digest"] = digest(found)
    return json.dumps(found)


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    keys = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for key in list(keys):
        yield part, key
        yield from _places(part[key])


def mutated_nifti(good: bytes, random: Random) -> bytes:
    """An uncompressed NIfTI file, one field of whose header is another, or that ends early."""
    if random.random() < 0.15:
        return good[: random.randrange(len(good))]
    header = nibabel.Nifti1Header(good[:348])
    field = random.choice(header.template_dtype.names)
    values = np.array(header.structarr[field])
    flat = values.reshape(-1)
    at = random.randrange(max(flat.size, 1))
    if flat.dtype.kind == "S":
        flat[at] = bytes(random.randrange(256) for _ in range(flat.dtype.itemsize))
    elif flat.dtype.kind == "f":
        flat[at] = random.choice((np.nan, np.inf, -1.0, 0.0, 1e-30, 3e38, 0.5))
    else:
        info = np.iinfo(flat.dtype)
        wrong = random.choice((info.min, info.max, 0, 1, 2, 3, 5, 8, 16, 64, 128, 512, 1024, 2304))
        flat[at] = min(max(wrong, info.min), info.max)
    header.structarr[field] = flat.reshape(values.shape)
    return header.structarr.tobytes() + good[348:]


def mutated_npz(good: bytes, random: Random) -> bytes:
    """A .npz whose members, or the form of one, are others, or one byte of which is another."""
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = next(iter(members))
    values = np.load(io.BytesIO(members[name]))
    way = random.choice(("byte", "cut", "dtype", "shape", "name", "more", "none", "header", "object", "order"))
    if way in ("byte", "cut"):
        return mutated_bytes(good, random, cut=way == "cut")
    if way == "dtype":
        kind = random.choice(("complex64", "U4", "bool", "int8", "float16", "M8[s]", "V4", ">f4", "float64"))
        values = np.zeros(values.shape, kind) if kind in ("U4", "M8[s]", "V4") else values.astype(kind)
    elif way == "shape":
        values = random.choice((values[0], values[None], values.reshape(-1), values[:, :0], np.float32(1), values[:1]))
    elif way == "order":
        values = np.asfortranarray(values.transpose(random.sample(range(values.ndim), values.ndim)))
    members[name] = _npy(values)
    if way == "name":
        members = {random.choice(("x.npy", "../probabilities.npy", "probabilities", "")): members[name]}
    elif way == "more":
        members[random.choice(("x.npy", "../../x.npy"))] = _npy(np.zeros(3))
    elif way == "none":
        members = {}
    elif way == "header":
        content = bytearray(members[name])
        content[random.randrange(min(80, len(content)))] = random.randrange(256)
        members[name] = bytes(content)
    elif way == "object":
        members[name] = _npy(np.array([{"a": 1}, None], dtype=object))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for member, content in members.items():
            file.writestr(member or "empty", content)
    return packed.getvalue()


def mutated_bytes(good: bytes, random: Random, *, cut: bool) -> bytes:
    """A file that ends early, or one byte of which is another."""
    at = random.randrange(len(good))
    return good[:at] if cut else good[:at] + bytes([good[at] ^ (1 << random.randrange(8))]) + good[at + 1 :]


def _npy(values: Any) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asanyarray(values), allow_pickle=True)
    return content.getvalue()
