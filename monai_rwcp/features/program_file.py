"""Reading the file of a `torch.export` program so that it runs no code of its own."""

from __future__ import annotations

import io
import json
import logging
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

__all__ = ["load_program"]

# What a graph may call without trust: operators of torch's own libraries that touch nothing but tensors, and arithmetic
# on sizes.
_TARGET = re.compile(
    r"(?!torch\.ops\.aten\.(?:from_file|save|warn|_print)\.)torch\.ops\.(?:aten|prims|quantized_decomposed|torchvision)\.(?:_?[A-Za-z]\w*|__i?(?:and|or|xor|[lr]shift)__)"
    r"\.[A-Za-z]\w*"
    # The second name is the one of torch 2.4.
    r"|torch\.(?:ops\.higher_order|_higher_order_ops\.wrap)\.wrap_with_(?:set_grad_enabled|autocast)"
    r"|torch\.sym_[a-z]+|math\.[a-z]+"
    r"|_operator\.(?:getitem|add|sub|mul|truediv|floordiv|mod|neg|eq|ne|lt|le|gt|ge)",
    re.ASCII,
)
_CALLED = ("target", "as_operator")
# Python makes source of the names in a graph, and evaluates its expressions.
_NAME = re.compile(r"[\w.:+-]*", re.ASCII)
_OBJECTS = ("custom_obj", "opaque_obj")
# What torch.export.save writes of a program; its readers find further programs, and what belongs to them, in folders.
_MEMBER = re.compile(r"(?:[^/]+/)?(?:models/model\.json|data/(?:weights|constants|sample_inputs)/[^/]+)")
_PROGRAMS = ("models/model.json", "serialized_exported_program.json", ".so")
_DYNAMIC = re.compile(rb"\"expr_str\": *\"(?:Symbol\('\w+'(?:, \w+=True)*\)|s\d+)\"")
# Texts that are quoted or only shown.
_STRINGS = ("as_string", "as_strings")
_SHOWN = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom", "from_node")
_SPECS = ("in_spec", "out_spec")
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


def load_program(path: Path, *, trust: bool) -> torch.export.ExportedProgram:
    """Load a program that ``torch.export.save`` wrote.

    Such a file can run code when it is read or called: it may hold pickles (sample inputs, weights, constants),
    objects of compiled classes and libraries, and the text of its graph becomes Python source. Without trust only
    tensors are unpickled, objects and libraries are refused, and the graph may hold nothing but plain names and calls
    of torch's own operators. What is checked is what is loaded.

    Args:
        path: the file.
        trust: whether the file may run code.

    Raises:
        ValueError: when it is damaged, was not written by ``torch.export.save``, or could run code and is not
            trusted; the message names the member. Also when its input has no fixed shape.
    """
    # It logs a traceback of what it raises, too.
    log = logging.getLogger("torch.export")
    was_disabled, log.disabled = log.disabled, True
    try:
        source = str(path) if trust else io.BytesIO(_checked(path.read_bytes()))
        return torch.export.load(source)
    except _DynamicError as error:
        raise ValueError(
            f"Expected '{path}' to be a program of one input of fixed shape [1, channels, height, width], but it was "
            "exported for several (dynamic_shapes). Export it with such an example input alone."
        ) from error
    except _CodeError as error:
        raise ValueError(
            f"'{path}' could run code of whoever made it: {error}. If you trust its maker, say so: `trust=True`."
        ) from error
    except Exception as error:  # whatever a damaged file can cause
        raise ValueError(
            f"'{path}' is damaged or was not written by torch.export.save of a fitting torch version: {_why(error)}. "
            f"Export it once more, with torch {torch.__version__}."
        ) from error
    finally:
        log.disabled = was_disabled


def _why(error: Exception) -> str:
    """The first sentence of what torch says; further ones point to its log."""
    return " ".join(str(error).split()).partition(". ")[0][:300]


class _CodeError(Exception):
    """A part of a file could run code; the message names it."""


class _DynamicError(Exception):
    """A program has no fixed shapes."""


def _checked(content: bytes) -> bytes:
    """The file, written anew from the members that were looked at."""
    anew = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(anew, "w") as copy:
        names = [member.orig_filename for member in archive.infolist()]
        alike = {name.lower() for name in names}
        if len(alike) < len(names) or any("\0" in name for name in names):
            raise ValueError("it holds two members of one name")
        if not any(name.endswith(_PROGRAMS) for name in names):
            raise ValueError("it holds no program")
        members = {name: archive.read(name) for name in names}
        for name, data in members.items():
            _check_member(name, data, members)
            copy.writestr(name, data)
    return anew.getvalue()


def _check_member(name: str, data: bytes, members: Mapping[str, bytes]) -> None:
    parts = name.split("/")
    folder, file = parts[-2] if len(parts) > 1 else "", parts[-1]
    if "aotinductor" in parts:
        raise _CodeError(f"its member '{name}' belongs to a compiled library")
    if ("models" in parts or "data" in parts[:2]) and not _MEMBER.fullmatch(name):
        raise _CodeError(f"its member '{name}' is none that torch.export.save writes")
    if "models" in parts or file == "serialized_exported_program.json":
        if _DYNAMIC.search(data):
            raise _DynamicError
        for what in _code_in(json.loads(data)):
            raise _CodeError(f"its graph, '{name}', holds {what}")
    elif folder in ("weights", "constants") and file.startswith(_OBJECTS):
        raise _CodeError(f"its member '{name}' is an object, not a tensor")
    elif folder in ("weights", "constants") and file.endswith(".json"):
        for entry in json.loads(data)["config"].values():
            if entry.get("use_pickle", True) and not entry["path_name"].startswith(_OBJECTS):
                member = "/".join([*parts[:-1], entry["path_name"]])
                _check_pickle(member, members[member])
    elif file.endswith(".pt") or file.startswith("serialized_"):
        _check_pickle(name, data)


def _check_pickle(name: str, data: bytes) -> None:
    if not data:
        return
    try:
        torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        # Of torch's message the rest advises to load it all the same.
        called = re.search(r"GLOBAL ([\w.]+)", str(error), re.ASCII)
        what = f": it calls {called[1][:80]}" if called else ""
        raise _CodeError(f"its pickled member '{name}' holds more than tensors{what}") from error


def _code_in(part: Any, key: str = "", within: str = "") -> Iterator[str]:
    """What in a graph is neither a plain name nor a call of a known operator."""
    if isinstance(part, dict):
        for name, value in part.items():
            if not _NAME.fullmatch(name):
                yield f"the name {name[:80]!r}"
            yield from _code_in(value, name, key)
    elif isinstance(part, list):
        for value in part:
            yield from _code_in(value, key, within)
    elif isinstance(part, str) and key not in _STRINGS and not (within == "metadata" and key in _SHOWN):
        if key in _CALLED:
            if not _TARGET.fullmatch(part):
                yield f"a call of {part[:80]!r}"
        elif key in _SPECS:
            if not _is_plain_spec(json.loads(part)[1]):
                yield f"arguments or results of unusual classes ({key})"
        elif key == "expr_str":
            yield f"the expression {part[:80]!r} where a program of one input of fixed shape has a number"
        elif not _NAME.fullmatch(part):
            yield f"the text {part[:80]!r} where a name is expected"


def _is_plain_spec(spec: Mapping[str, Any]) -> bool:
    """Whether arguments or results are nested tuples, lists and dictionaries of tensors: other classes are imported."""
    context = None if spec["context"] is None else json.loads(spec["context"])
    keys = context or []
    plain = isinstance(keys, list) and all(isinstance(name, str | int) for name in keys)
    return plain and spec["type"] in _CONTAINERS and all(map(_is_plain_spec, spec["children_spec"]))
