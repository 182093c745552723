"""From the item dictionaries of an evaluator to rows of a loss table."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor

from monai_rwcp.conformal import CustomLoss, LabelMode, LossTable, Outside, SetLoss, case_loss_table
from monai_rwcp.handlers.processes import from_all, n_processes
from monai_rwcp.transforms.provenance import map_spacing, provenance_key, score_provenance

__all__ = ["CaseCounter"]


@dataclass(frozen=True)
class CaseCounter:
    """What to read from an item, and how to count it.

    Args:
        loss: what is counted.
        score_key, label_key, unit_key, case_key, group_key, weight_key, mask_key, label_mode, include_background,
            outside: see :py:class:`monai_rwcp.ConformalCalibrationHandler`.

    Example:
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
        image = self._image_id(item, number)
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
        score, label = _value(item, self.score_key), _value(item, self.label_key)
        values = _tensor(score)
        if _is_binary(values):
            raise ValueError(
                "the score holds nothing but 0 and 1, so it looks like a mask. Take the score before AsDiscreted or "
                "ConformalThresholdd, or keep a copy under another key (CopyItemsd); half precision can saturate, too: "
                "compute the softmax in float32."
            )
        maps = {
            name: None if key is None else _tensor(_value(item, key)).to(values.device)
            for name, key in (("mask", self.mask_key), ("weight", self.weight_key))
        }
        return case_loss_table(
            values,
            _tensor(label).to(values.device),
            loss=self.loss,
            unit=image if self.unit_key is None else str(_value(item, self.unit_key)),
            image=image,
            group=None if self.group_key is None else str(_value(item, self.group_key)),
            spacing=map_spacing(score) or map_spacing(label),
            label_mode=self.label_mode,
            include_background=self.include_background,
            outside=self.outside,
            unit_name="image" if self.unit_key is None else self.unit_key,
            provenance=score_provenance(score, item.get(provenance_key(self.score_key))),
            **maps,
        )

    def _image_id(self, item: dict[str, Any], number: int) -> str:
        if self.case_key is not None:
            return str(_value(item, self.case_key))
        for key in (self.score_key, self.label_key):
            value = item.get(key)
            name = value.meta.get("filename_or_obj") if isinstance(value, MetaTensor) else None
            if isinstance(name, (str, Path)) and str(name):
                return str(name)
        if n_processes() > 1:
            raise ValueError(
                "Several processes share the cases, and a sampler may give one case to two of them, but the cases "
                "carry no file name to tell: give `case_key`, the key of an id that each image has alone."
            )
        return f"image {number}"


def _check_same(first: CaseCounter, other: CaseCounter, rank: int) -> None:
    for field in fields(CaseCounter):
        one, another = getattr(first, field.name), getattr(other, field.name)
        if one != another:
            raise ValueError(
                f"Expected all processes to count in the same way, but `{field.name}` is {one!r} in process 0 and "
                f"{another!r} in process {rank}. Give the handlers the same arguments in every process, and finish "
                "them in the order in which they are attached."
            )


def _value(item: dict[str, Any], key: str) -> Any:
    if item.get(key) is None:
        raise KeyError(
            f"Expected '{key}' in every item, but got only {sorted(k for k, v in item.items() if v is not None)}. "
            "Name the right key, or add it to the data list."
        )
    return item[key]


def _tensor(value: Any) -> torch.Tensor:
    return value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)


def _is_binary(score: torch.Tensor) -> bool:
    # Row by row: the first row of a real score ends it.
    return all(bool(((row == 0) | (row == 1)).all()) for channel in score for row in channel)
