"""From a name, or the record in a file, to a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.custom import CustomLoss
from monai_rwcp.conformal.counting.losses.pieces import InstanceFalseNegativeRate
from monai_rwcp.conformal.counting.losses.surface import SurfaceFalseNegativeRate
from monai_rwcp.conformal.counting.losses.voxels import (
    FalseDiscoveryProportion,
    FalseNegativeRate,
    InnerSetLoss,
    WeightedFalseNegativeRate,
)

__all__ = ["LossChoice", "loss_from", "loss_from_record", "readable_record"]

LossChoice = SetLoss | Literal["fnr", "weighted_fnr", "instance_fnr", "inner", "false_discovery"]
"""A loss, or the name of one that needs no numbers."""

_LOSSES: tuple[type[SetLoss], ...] = (
    FalseNegativeRate,
    WeightedFalseNegativeRate,
    InstanceFalseNegativeRate,
    SurfaceFalseNegativeRate,
    InnerSetLoss,
    FalseDiscoveryProportion,
    CustomLoss,
)
_NEED_ARGUMENTS = (SurfaceFalseNegativeRate, CustomLoss)


def loss_from(choice: LossChoice) -> SetLoss:
    """Give the loss that is meant.

    Args:
        choice: a loss, or the name of one that needs no argument.

    Raises:
        ValueError: when there is no such loss, or it needs an argument.

    Example:
        >>> loss_from("instance_fnr")
        InstanceFalseNegativeRate(fraction=0.5)
    """
    if isinstance(choice, SetLoss):
        return choice
    for loss in _LOSSES:
        if choice == loss.name and loss in _NEED_ARGUMENTS:
            raise ValueError(f"The loss {choice!r} needs an argument: give loss={loss.__name__}(...).")
        if choice == loss.name:
            return loss()
    names = ", ".join(f'"{loss.name}"' for loss in _LOSSES if loss not in _NEED_ARGUMENTS)
    made = " or ".join(f"a {loss.__name__}" for loss in _NEED_ARGUMENTS)
    raise ValueError(f"Expected `loss` to be one of {names}, {made}, but got {choice!r}.")


def loss_from_record(record: Mapping[str, Any]) -> SetLoss:
    """Give the loss that a file tells of.

    Args:
        record: as :py:meth:`SetLoss.record` gives it.

    Raises:
        ValueError: when there is no such loss, or its numbers do not fit.

    Example:
        >>> loss_from_record({"name": "surface_fnr", "radius": 2.0})
        SurfaceFalseNegativeRate(radius=2.0)
    """
    options = {name: value for name, value in record.items() if name != "name"}
    for loss in _LOSSES:
        if record["name"] == loss.name:
            try:
                return loss(**options)
            except TypeError as error:
                raise ValueError(f"the loss {record['name']!r} has not these numbers: {options}.") from error
    raise ValueError(f"the loss {record['name']!r} is unknown to this release.")


def readable_record(loss: SetLoss) -> dict[str, Any]:
    """Give the record of a loss for a file, from which it can be read again.

    Args:
        loss: which is to be written.

    Raises:
        ValueError: when nothing could read it back: it is of a class that this release does not know.

    Example:
        >>> readable_record(InstanceFalseNegativeRate(0.25))
        {'name': 'instance_fnr', 'fraction': 0.25}
    """
    record = loss.record()
    try:
        read: SetLoss | None = loss_from_record(record)
    except (KeyError, TypeError, ValueError):
        read = None
    if type(read) is not type(loss) or read != loss:
        raise ValueError(
            f"The loss {loss!r} could not be read back from a file: {type(loss).__name__} is none of "
            "this package. Write it as a CustomLoss, which files can name, or keep the result in memory."
        )
    return record
