"""From the item dictionaries of an evaluator to rows of a loss table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from monai_rwcp.conformal.counting.channel_sums import check_background
from monai_rwcp.conformal.counting.count_case import count_case
from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.custom import CustomLoss
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.handlers.items import (
    check_grids,
    errors_of_case,
    id_of_image,
    item_name,
    item_record,
    item_score,
    item_value,
)
from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.processes import from_all
from monai_rwcp.utils.tensors import item_tensor

__all__ = ["CaseCounter", "ItemKeys"]


@dataclass(frozen=True)
class ItemKeys:
    """Where an item keeps what is counted; see :py:class:`monai_rwcp.ConformalCalibrationHandler` for each."""

    score_key: str
    label_key: str
    unit_key: str | None = None
    case_key: str | None = None
    group_key: str | None = None
    shift_weight_key: str | None = None
    weight_key: str | None = None
    mask_key: str | None = None


@dataclass(frozen=True)
class CaseCounter:
    """What to read from an item, and how to count it.

    Args:
        loss: which loss is counted.
        keys: where items keep it.
        counting: what is counted; masked where there is a ``mask_key``.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import FalseNegativeRate
        >>> counter = CaseCounter(FalseNegativeRate(), ItemKeys("pred", "label"), CountingOptions())
        >>> item = {"pred": torch.rand(2, 4, 4), "label": torch.ones(1, 4, 4)}
        >>> counter.table(item, number=7, warned=set()).units
        ('image 7',)
    """

    loss: SetLoss
    keys: ItemKeys
    counting: CountingOptions

    def table(self, item: dict[str, Any], number: int, warned: set[tuple[str, str]]) -> LossTable:
        """Count one item.

        Args:
            item: score, label and names of one image.
            number: how many images were counted before, for images without a name.
            warned: pairs of maps that were warned of in this run, see :py:func:`check_same_grid`.

        Raises:
            KeyError: when a key is missing.
            ValueError: when the item cannot be counted; the message names the case and its keys.
        """
        score_key, label_key = self.keys.score_key, self.keys.label_key
        image = id_of_image(item, self.keys.case_key, (score_key, label_key), number)
        with errors_of_case(image, score=score_key, label=label_key):
            others = {"mask": self.keys.mask_key, "weight map": self.keys.weight_key}
            check_grids(item, warned, score=score_key, label=label_key, **others)
            return self._table(item, image)

    def joined(self, tables: list[LossTable]) -> LossTable:
        """Join what all processes counted; every process has to call it, also with an empty list.

        Args:
            tables: what this process counted, a table for each image.

        Returns:
            the same table in every process, whichever of them counted which image.

        Raises:
            ValueError: in every process, when none has a table, they count in different ways or the tables do not fit
                together.
        """
        loss = self.loss
        if isinstance(loss, CustomLoss):
            # Joining does not call the function, and a lambda would not travel.
            loss = replace(loss, function=None)
        counters, lists = zip(
            *from_all((replace(self, loss=loss), [replace(t, loss=loss) for t in tables])), strict=True
        )
        for rank, other in enumerate(counters):
            _check_same(counters[0], other, rank)
        found = [table for of_process in lists for table in of_process]
        if not found:
            raise ValueError("The evaluator ran over no case, so there is nothing to calibrate on.")
        # By id: what cases share is read from the first of them, which must not depend on who counted what.
        return replace(LossTable.join(sorted(found, key=lambda table: min(table.images))), loss=self.loss)

    def _table(self, item: dict[str, Any], image: str) -> LossTable:
        keys = self.keys
        score, label = item_value(item, keys.score_key), item_value(item, keys.label_key)
        values, record = item_score(item, keys.score_key), item_record(item, keys.score_key)
        if not record.steps:
            check_background(values, self.counting.label_mode)
        maps = {
            name: None if key is None else item_tensor(item_value(item, key)).to(values.device)
            for name, key in (("mask", keys.mask_key), ("weight", keys.weight_key))
        }
        return count_case(
            values,
            item_tensor(label).to(values.device),
            self.counting,
            loss=self.loss,
            unit=image if keys.unit_key is None else item_name(item, keys.unit_key),
            image=image,
            group=None if keys.group_key is None else item_name(item, keys.group_key),
            shift_weight=None if keys.shift_weight_key is None else float(item_value(item, keys.shift_weight_key)),
            spacing=voxel_of(score) or voxel_of(label),
            unit_name="image" if keys.unit_key is None else keys.unit_key,
            provenance=record,
            **maps,
        )


def _check_same(first: CaseCounter, other: CaseCounter, rank: int) -> None:
    ways = [{"loss": counter.loss, **asdict(counter.keys), **asdict(counter.counting)} for counter in (first, other)]
    for name, one in ways[0].items():
        if one != ways[1][name]:
            raise ValueError(
                f"Expected all processes to count in the same way, but `{name}` is {one!r} in process 0 and "
                f"{ways[1][name]!r} in process {rank}. Give the handlers the same arguments in every process, and "
                "finish them in the order in which they are attached."
            )
