"""From the item dictionaries of an evaluator to rows of a loss table."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from monai_rwcp.conformal.counting.case_table import case_loss_table
from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.conformal.counting.loss_table import LossTable, Outside
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.custom import CustomLoss
from monai_rwcp.handlers.items import id_of_image, item_score, item_value
from monai_rwcp.provenance.score_maps import completed_record, map_spacing, record_of
from monai_rwcp.utils.processes import from_all
from monai_rwcp.utils.tensors import item_tensor

__all__ = ["CaseCounter"]


@dataclass(frozen=True)
class CaseCounter:
    """What to read from an item, and how to count it.

    Args:
        loss: what is counted.
        score_key, label_key, unit_key, case_key, group_key, shift_weight_key, weight_key, mask_key, label_mode,
            include_background, outside: see :py:class:`monai_rwcp.ConformalCalibrationHandler`.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import FalseNegativeRate
        >>> counter = CaseCounter(FalseNegativeRate(), "pred", "label")
        >>> item = {"pred": torch.rand(2, 4, 4), "label": torch.ones(1, 4, 4)}
        >>> counter.table(item, number=7).units
        ('image 7',)
    """

    loss: SetLoss
    score_key: str
    label_key: str
    unit_key: str | None = None
    case_key: str | None = None
    group_key: str | None = None
    shift_weight_key: str | None = None
    weight_key: str | None = None
    mask_key: str | None = None
    label_mode: LabelMode = "index"
    include_background: bool = False
    outside: Outside = "include"

    def table(self, item: dict[str, Any], number: int) -> LossTable:
        """Count one item.

        Args:
            item: score, label and names of one image.
            number: how many images were counted before, for images without a name.

        Raises:
            KeyError: when a key is missing.
            ValueError: when the item cannot be counted; the message names the case and its keys.
        """
        image = id_of_image(item, self.case_key, (self.score_key, self.label_key), number)
        try:
            return self._table(item, image)
        except ValueError as error:
            raise ValueError(f"Case {image!r}, score '{self.score_key}', label '{self.label_key}': {error}") from error

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
        score, label = item_value(item, self.score_key), item_value(item, self.label_key)
        values = item_score(item, self.score_key)
        maps = {
            name: None if key is None else item_tensor(item_value(item, key)).to(values.device)
            for name, key in (("mask", self.mask_key), ("weight", self.weight_key))
        }
        return case_loss_table(
            values,
            item_tensor(label).to(values.device),
            loss=self.loss,
            unit=image if self.unit_key is None else str(item_value(item, self.unit_key)),
            image=image,
            group=None if self.group_key is None else str(item_value(item, self.group_key)),
            shift_weight=None if self.shift_weight_key is None else float(item_value(item, self.shift_weight_key)),
            spacing=map_spacing(score) or map_spacing(label),
            label_mode=self.label_mode,
            include_background=self.include_background,
            outside=self.outside,
            unit_name="image" if self.unit_key is None else self.unit_key,
            provenance=completed_record(score, record_of(item, self.score_key)),
            **maps,
        )


def _check_same(first: CaseCounter, other: CaseCounter, rank: int) -> None:
    for field in fields(CaseCounter):
        one, another = getattr(first, field.name), getattr(other, field.name)
        if one != another:
            raise ValueError(
                f"Expected all processes to count in the same way, but `{field.name}` is {one!r} in process 0 and "
                f"{another!r} in process {rank}. Give the handlers the same arguments in every process, and finish "
                "them in the order in which they are attached."
            )
