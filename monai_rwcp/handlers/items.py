"""The items of an engine's last batch, whole, and what handlers ask of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.provenance.score_maps import completed_record, record_of
from monai_rwcp.utils.names import name_as_text
from monai_rwcp.utils.processes import n_processes
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.score_range import check_no_mask
from monai_rwcp.utils.tensors import item_tensor

__all__ = [
    "check_grids",
    "engine_items",
    "errors_of_case",
    "id_of_image",
    "item_name",
    "item_record",
    "item_score",
    "item_value",
]


def engine_items(engine: Engine) -> list[dict[str, Any]]:
    """Give the item dictionaries that an engine holds after post-processing.

    Args:
        engine: an evaluator with ``decollate=True``, or an ignite engine whose step returns a list of dictionaries.

    Returns:
        the items of ``engine.state.output``, completed by those of ``engine.state.batch`` where that is a list, too.

    Raises:
        ValueError: when the output is no list of dictionaries, such as an undivided batch.

    Example:
        >>> engine = Engine(lambda engine, batch: [{"pred": batch}])
        >>> _ = engine.run([1])
        >>> engine_items(engine)
        [{'pred': 1}]
    """
    output: Any = engine.state.output
    batch: Any = engine.state.batch
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise ValueError(
            f"Expected engine.state.output to be a list of item dictionaries, but got {type(output).__name__}, which "
            "looks like a batch. Use SupervisedEvaluator(decollate=True), or let the engine's step return a list."
        )
    if isinstance(batch, list) and len(batch) == len(output) and all(isinstance(item, dict) for item in batch):
        return [{**one, **other} for one, other in zip(batch, output, strict=True)]
    return output


@contextmanager
def errors_of_case(image: str, /, **keys: str | None) -> Iterator[None]:
    """Name the case and its keys in the message of a ValueError.

    Args:
        image: id of its image.
        keys: key of each map, by what the map is; None for one that is not there.

    Example:
        >>> with errors_of_case("anna", score="pred"):
        ...     raise ValueError("it is a mask")
        Traceback (most recent call last):
        ValueError: Case 'anna', score 'pred': it is a mask
    """
    try:
        yield
    except ValueError as error:
        named = "".join(f", {what} '{key}'" for what, key in keys.items() if key is not None)
        raise ValueError(f"Case {image!r}{named}: {error}") from error


def check_grids(item: dict[str, Any], warned: set[tuple[str, str]], /, **keys: str | None) -> None:
    """Refuse maps of an item that do not lie at one place; see :py:func:`check_same_grid`.

    Args:
        item: the item.
        warned: pairs of maps that were warned of in this run.
        keys: key of each map, by what the map is; None for one that is not there.

    Raises:
        KeyError: when a key is missing.
        ValueError: when two of them lie elsewhere; the message names their keys.

    Example:
        >>> check_grids({"pred": torch.rand(2, 4, 4), "label": torch.ones(1, 4, 4)}, set(), score="pred", label="label")
    """
    check_same_grid({what: (key, item_value(item, key)) for what, key in keys.items() if key is not None}, warned)


def item_value(item: dict[str, Any], key: str) -> Any:
    """What an item holds under a key.

    Raises:
        KeyError: when it holds nothing there; the message lists the keys it has.

    Example:
        >>> item_value({"pred": 1}, "pred")
        1
    """
    if item.get(key) is None:
        raise KeyError(
            f"Expected '{key}' in every item, but got only {sorted(k for k, v in item.items() if v is not None)}. "
            "Name the right key, or add it to the data list."
        )
    return item[key]


def item_name(item: dict[str, Any], key: str) -> str:
    """The name that an item holds under a key: of its patient, its image or its group.

    Raises:
        KeyError: when it has no such key; the message lists the keys it has.
        ValueError: when the name is missing, or none.

    Example:
        >>> item_name({"patient": 3.0}, "patient")
        '3'
    """
    return name_as_text(item[key] if key in item else item_value(item, key), f"'{key}'")


def item_record(item: dict[str, Any], key: str) -> ScoreRecord:
    """How the score of an item was made, completed with what the score itself tells.

    Raises:
        KeyError: when the item holds no score there.
        ValueError: when something else than a record lies beside it.

    Example:
        >>> item_record({"pred": torch.rand(2, 4, 4)}, "pred").to_json()
        {'dtype': 'float32', 'side': 'unknown'}
    """
    return completed_record(item_value(item, key), record_of(item, key))


def item_score(item: dict[str, Any], key: str) -> torch.Tensor:
    """The score map of an item as a plain tensor.

    Raises:
        KeyError: when the item holds none.
        ValueError: when it looks like a mask.

    Example:
        >>> item_score({"pred": torch.tensor([[[0.25, 1.0]]])}, "pred").tolist()
        [[[0.25, 1.0]]]
    """
    score = item_tensor(item_value(item, key))
    check_no_mask(score)
    return score


def id_of_image(item: dict[str, Any], case_key: str | None, keys: Sequence[str], number: int | None) -> str:
    """The id of an item's image: what ``case_key`` says, else its file name, else a running number.

    Args:
        item: the item.
        case_key: key of the id; None looks for a file name.
        keys: keys of the maps whose meta data may know the file name.
        number: the running number; None where it would not do.

    Raises:
        KeyError: when the item has nothing under ``case_key``.
        ValueError: when the id is missing, or there is neither an id nor a file name and a running number would not do.

    Example:
        >>> loaded = MetaTensor(torch.zeros(1, 2, 2), meta={"filename_or_obj": "a.nii"})
        >>> id_of_image({"pred": loaded}, None, ["pred"], 0)
        'a.nii'
        >>> id_of_image({"pred": torch.zeros(1, 2, 2)}, None, ["pred"], 7)
        'image 7'
    """
    if case_key is not None:
        return item_name(item, case_key)
    for key in keys:
        value = item.get(key)
        name = value.meta.get("filename_or_obj") if isinstance(value, MetaTensor) else None
        if isinstance(name, (str, Path)) and str(name):
            return str(name)
    if n_processes() > 1:
        raise ValueError(
            "Several processes share the cases, and a sampler may give one case to two of them, but the cases "
            "carry no file name to tell: give `case_key`, the key of an id that each image has alone."
        )
    if number is None:
        raise ValueError(
            "The cases carry no file name, so that a later run could not tell new ones from these: give `case_key`, "
            "the key of an id that each image has alone, or `unit_key`."
        )
    return f"image {number}"
