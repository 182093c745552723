"""From the item dictionaries of an evaluator to rows of a loss table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monai_rwcp.conformal import LabelMode, LossTable, Outside, SetLoss, case_loss_table
from monai_rwcp.handlers.items import id_of_image, item_score, item_tensor, item_value
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
        image = id_of_image(item, self.case_key, (self.score_key, self.label_key), number)
        try:
            return self._table(item, image)
        except ValueError as error:
            raise ValueError(f"Case {image!r}, score '{self.score_key}', label '{self.label_key}': {error}") from error

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
            spacing=map_spacing(score) or map_spacing(label),
            label_mode=self.label_mode,
            include_background=self.include_background,
            outside=self.outside,
            unit_name="image" if self.unit_key is None else self.unit_key,
            provenance=score_provenance(score, item.get(provenance_key(self.score_key))),
            **maps,
        )
