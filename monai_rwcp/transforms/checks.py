"""What every transform here asks of its keys and of the item it is given."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.utils import ensure_tuple_rep

from monai_rwcp.utils.names import name_as_text

__all__ = ["check_item", "group_and_weight", "output_keys_of"]


def check_item(value: NdarrayOrTensor) -> None:
    """Refuse what is not one item ``[C, *spatial]`` with 2 or 3 spatial axes, as far as shape and meta data tell.

    Raises:
        ValueError: when it is a batch, has another number of axes, or an affine of too low a rank.
    """
    # A 2D image often carries a 4 x 4 affine, so only an affine of too low a rank gives a batch away.
    collated = isinstance(value, MetaTensor) and (value.is_batch or value.affine.shape[-1] < value.ndim)
    if value.ndim not in (3, 4) or collated:
        affine = f" and affine {tuple(value.affine.shape)}" if isinstance(value, MetaTensor) else ""
        raise ValueError(
            f"Expected one item [channels, *spatial] with 2 or 3 spatial axes, without a batch dimension, but got "
            f"shape {tuple(value.shape)}{affine}. A batch must be split into items first (decollate=True in the "
            "evaluator), and an affine must have a row for each spatial axis."
        )


def output_keys_of(keys: tuple[Hashable, ...], output_keys: KeysCollection) -> tuple[Hashable, ...]:
    """One output key for each key.

    Raises:
        ValueError: when the numbers differ, or two results would go to one place.
    """
    result: tuple[Hashable, ...] = ensure_tuple_rep(output_keys, len(keys))
    if len(set(result)) != len(keys):
        raise ValueError(f"Expected a different output key for each of {keys}, but got {result}.")
    return result


def group_and_weight(
    data: Mapping[Hashable, Any], group_key: str | None, weight_key: str | None
) -> tuple[str | None, float | None]:
    """The group and the weight that an item names, where they are asked for.

    Raises:
        KeyError: when it names none.
        ValueError: when the group's name is missing, or none.
    """
    for key, what in ((group_key, "group"), (weight_key, "weight")):
        if key is not None and (key not in data or (key == weight_key and data[key] is None)):
            raise KeyError(
                f"Expected the {what} of the item under '{key}', but there are only {sorted(str(k) for k in data)}. "
                "Name the right key, or add it to the data list."
            )
    group = None if group_key is None else name_as_text(data[group_key], f"'{group_key}'")
    return group, None if weight_key is None else float(data[weight_key])
