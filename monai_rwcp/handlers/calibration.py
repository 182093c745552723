"""Calibrating on the cases an evaluator runs over, as a MONAI handler."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from ignite.engine import Engine, Events

from monai_rwcp.conformal import (
    Calibration,
    EmptyTruth,
    LabelMode,
    LossTable,
    Outside,
    Scope,
    UnitLoss,
    calibrate,
    false_negative_rate_table,
    minimum_n,
)
from monai_rwcp.conformal.storage import check_options, from_document, to_document
from monai_rwcp.files import check_writable
from monai_rwcp.handlers.items import (
    engine_items,
    from_all_processes,
    id_of_image,
    is_first_process,
    item_score,
    item_tensor,
    item_value,
)
from monai_rwcp.transforms.provenance import provenance_key, score_provenance

__all__ = ["ConformalCalibrationHandler"]


class ConformalCalibrationHandler:
    """Count losses on every labelled case of an evaluator's run, and calibrate when the run ends.

    It reads ``engine.state.output``, a list of item dictionaries as `SupervisedEvaluator(decollate=True)` leaves them
    after post-processing (and ``engine.state.batch`` for keys that are not there). It keeps a few kilobytes a case,
    never a map. When the run ends the result is :py:attr:`calibration`, its ``lambda_hat`` are in
    ``engine.state.metrics``, and the file is written. Every run starts anew. Under `torch.distributed` the counts of
    all processes are joined, an image that two of them saw counts once, and the first process writes the file.

    The post chain of the calibration run is the one of the later use without `ConformalThresholdd`, and the settings
    of the walk must have been fixed before these labels were seen.

    Args:
        score_key: key of the score.
        label_key: key of the truth.
        alpha: highest expected loss, in (0, 1).
        loss: ``"fnr"``, the false negative rate.
        unit_key: key of the exchangeable unit's name, such as "patient"; None takes every image as a unit.
        case_key: key of an id that each image has alone (each slice, not each patient); None takes the image's file
            name from the meta data where there is one, and counts up otherwise.
        mask_key: key of a mask ``[1, *spatial]`` that is not 0 where voxels count.
        label_mode: ``"index"`` (class numbers), ``"one_hot"`` or ``"regions"`` (overlapping structures).
        include_background: whether channel 0 is calibrated too.
        output_path: where the calibration is written; None writes none.
        scope, unit_loss, empty, class_names: see :py:func:`monai_rwcp.conformal.calibrate`.
        outside: see :py:func:`monai_rwcp.conformal.false_negative_rate_table`.

    Raises:
        ValueError: when ``alpha`` or ``loss`` is not one that is offered; while running, when a case does not fit.

    Example:
        >>> import torch
        >>> from ignite.engine import Engine
        >>> def step(engine, case):
        ...     label = torch.ones(1, 4, 4)
        ...     return [{"pred": torch.rand(2, 4, 4), "label": label, "patient": f"patient {case}"}]
        >>> handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient")
        >>> engine = Engine(step)
        >>> handler.attach(engine)
        >>> _ = engine.run(range(10))
        >>> handler.calibration.n
        {1: 10}
    """

    def __init__(
        self,
        score_key: str = "pred",
        label_key: str = "label",
        alpha: float = 0.1,
        loss: Literal["fnr"] = "fnr",
        unit_key: str | None = None,
        case_key: str | None = None,
        mask_key: str | None = None,
        label_mode: LabelMode = "index",
        include_background: bool = False,
        output_path: str | Path | None = None,
        scope: Scope = "per_class",
        unit_loss: UnitLoss = "pooled",
        empty: EmptyTruth = "exclude",
        outside: Outside = "include",
        class_names: Sequence[str] | None = None,
    ) -> None:
        minimum_n(alpha)
        check_options(loss=loss, scope=scope, unit_loss=unit_loss, empty=empty, outside=outside, label_mode=label_mode)
        self.score_key, self.label_key, self.mask_key = score_key, label_key, mask_key
        self.unit_key, self.case_key = unit_key, case_key
        self.alpha = alpha
        self.label_mode: LabelMode = label_mode
        self.include_background = include_background
        self.output_path = output_path
        self.scope: Scope = scope
        self.unit_loss: UnitLoss = unit_loss
        self.empty: EmptyTruth = empty
        self.outside: Outside = outside
        self.class_names = class_names
        self._calibration: Calibration | None = None
        self._tables: list[LossTable] = []

    @property
    def calibration(self) -> Calibration:
        """The result of the last finished run.

        Raises:
            RuntimeError: when no run has finished yet.
        """
        if self._calibration is None:
            raise RuntimeError("There is no calibration yet: run the evaluator this handler is attached to.")
        return self._calibration

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or a bare ignite engine.

        Raises:
            OSError: when ``output_path`` cannot be written, before any case is run.
        """
        if self.output_path is not None:
            check_writable(self.output_path)
        for event, action in (
            (Events.EPOCH_STARTED, self._start),
            (Events.ITERATION_COMPLETED, self._count),
            (Events.EPOCH_COMPLETED, self._finish),
        ):
            if not engine.has_event_handler(action, event):
                engine.add_event_handler(event, action)

    def state_dict(self) -> dict[str, str]:
        """The last result, for a checkpoint."""
        return {"document": "" if self._calibration is None else json.dumps(to_document(self._calibration))}

    def load_state_dict(self, state: dict[str, str]) -> None:
        """Restore the result from a checkpoint."""
        text = state["document"]
        self._calibration = from_document(json.loads(text), "checkpoint") if text else None

    def _start(self, engine: Engine) -> None:
        self._tables = []

    def _count(self, engine: Engine) -> None:
        for item in engine_items(engine):
            image = id_of_image(item, self.case_key, (self.score_key, self.label_key), len(self._tables))
            try:
                self._tables.append(self._case_table(item, image))
            except ValueError as error:
                raise ValueError(
                    f"Case {image!r}, score '{self.score_key}', label '{self.label_key}': {error}"
                ) from error

    def _case_table(self, item: dict[str, Any], image: str) -> LossTable:
        score = item_score(item, self.score_key)
        return false_negative_rate_table(
            score,
            item_tensor(item_value(item, self.label_key)).to(score.device),
            unit=image if self.unit_key is None else str(item_value(item, self.unit_key)),
            image=image,
            label_mode=self.label_mode,
            include_background=self.include_background,
            mask=None if self.mask_key is None else item_tensor(item_value(item, self.mask_key)).to(score.device),
            outside=self.outside,
            unit_name="image" if self.unit_key is None else self.unit_key,
            provenance=score_provenance(item[self.score_key], item.get(provenance_key(self.score_key))),
        )

    def _finish(self, engine: Engine) -> None:
        table = self._joined_table()
        self._tables = []
        self._calibration = calibrate(
            table,
            self.alpha,
            scope=self.scope,
            unit_loss=self.unit_loss,
            empty=self.empty,
            class_names=self.class_names,
        )
        for c, value in self._calibration.lambda_hat.items():
            engine.state.metrics[f"{self.score_key}_lambda_hat_{c}"] = value
        if self.output_path is not None and is_first_process():
            self._calibration.save(self.output_path)

    def _joined_table(self) -> LossTable:
        tables = from_all_processes([LossTable.join(self._tables)] if self._tables else [])
        if not tables:
            raise ValueError("The evaluator ran over no case, so there is nothing to calibrate on.")
        return LossTable.join(tables)
