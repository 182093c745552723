"""Calibrating on the cases an evaluator runs over, as a MONAI handler."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ignite.engine import Engine

from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.losses.choice import LossChoice, loss_from, readable_record
from monai_rwcp.conformal.counting.options import CountingOptions, EmptyTruth, UnitLoss
from monai_rwcp.conformal.promises.calibrate import calibration_of, check_promisable
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.promises.promise import Bound, Method, Promise
from monai_rwcp.handlers.case_counter import CaseCounter, ItemKeys
from monai_rwcp.handlers.epoch import attach_to_epoch, result_of_run, save_by_first
from monai_rwcp.handlers.items import engine_items
from monai_rwcp.tune.settings_file import TunedSettings
from monai_rwcp.utils.arguments import check_class_names
from monai_rwcp.utils.document_source import DocumentSource
from monai_rwcp.utils.files import check_writable
from monai_rwcp.utils.json_documents import parsed_json
from monai_rwcp.utils.processes import is_first_process, warned_by_first

__all__ = ["ConformalCalibrationHandler"]


class ConformalCalibrationHandler:
    """Count losses on every labelled case of an evaluator's run, and calibrate when the run ends.

    It reads ``engine.state.output``, a list of item dictionaries as `SupervisedEvaluator(decollate=True)` leaves them
    after post-processing (and ``engine.state.batch`` for keys that are not there). It keeps a few kilobytes a case,
    never a map. When the run ends the result is :py:attr:`calibration`, its ``lambda_hat`` are in
    ``engine.state.metrics``, and the file is written. Every run starts anew.

    Under `torch.distributed` (`torchrun`) the counts of all processes are joined when the run ends: an image that
    several of them saw counts once, every process gets the same result, and all go on when the first has written the
    file. Call :py:meth:`finish` after each run where a process may have no case. When one process fails, the others get
    no result either: `torchrun` ends them; without it, they raise an error as soon as the process is gone. An old file
    then stays as it was. NCCL sends the counts through the GPU, which each process has to choose before the run:
    ``torch.cuda.set_device(local_rank)``.

    The post chain of the calibration run is the one of the later use without `ConformalThresholdd`, and the settings
    of the walk must have been fixed before these labels were seen.

    Args:
        score_key: key of the score.
        label_key: key of the truth.
        alpha: highest expected loss, in (0, 1); with ``method="tolerance"`` the highest share of units that are not
            covered enough.
        loss: what is promised to be small: ``"fnr"``, the false negative rate; ``"weighted_fnr"``, ``"instance_fnr"``
            (pieces, lesions), ``"inner"`` (for inner sets), ``"false_discovery"``; or a loss with its numbers, such as
            ``SurfaceFalseNegativeRate(radius=2.0)`` or a :py:class:`monai_rwcp.conformal.CustomLoss`. Attach several
            handlers to calibrate several losses in one pass.
        unit_key: key of the exchangeable unit's name, such as "patient"; None takes every image as a unit.
        case_key: key of an id that each image has alone (each slice, not each patient); None takes the image's file
            name from the meta data where there is one, and counts up otherwise.
        mask_key: key of a mask ``[1, *spatial]`` that is not 0 where voxels count.
        label_mode: ``"index"`` (class numbers), ``"one_hot"`` or ``"regions"`` (overlapping structures).
        include_background: whether channel 0 is calibrated too.
        output_path: where the calibration is written; None writes none.
        unit_loss, empty, class_names: see :py:func:`monai_rwcp.conformal.calibrate`.
        method, delta, tau, bound: the kind of promise, see :py:class:`monai_rwcp.conformal.Promise`.
        group_key: key of the unit's group (its scanner, say), which then gets thresholds of its own; None makes none.
        weight_key: key of a map ``[1, *spatial]``, for ``"weighted_fnr"``.
        shift_weight_key: key of a number, as `ShiftWeightd` writes it: how much more often a unit like this is met in
            the population that the calibration is for, the same for all images of the unit. Sets then need the weight
            of their unit, too.
        settings: what tuning chose (or the path of it): units that it was chosen on are refused.

    Raises:
        ValueError: when the promise or ``loss`` is not one that is offered; while running, when a case does not fit.

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
        loss: LossChoice = "fnr",
        unit_key: str | None = None,
        case_key: str | None = None,
        mask_key: str | None = None,
        label_mode: LabelMode = "index",
        include_background: bool = False,
        output_path: str | Path | None = None,
        unit_loss: UnitLoss = "pooled",
        empty: EmptyTruth = "exclude",
        class_names: Sequence[str] | None = None,
        method: Method = "crc",
        delta: float | None = None,
        tau: float | None = None,
        bound: Bound | None = None,
        group_key: str | None = None,
        weight_key: str | None = None,
        shift_weight_key: str | None = None,
        settings: TunedSettings | str | os.PathLike | None = None,
    ) -> None:
        self.promise = Promise(alpha, method, delta, tau, bound)
        masked = mask_key is not None
        self.counter = CaseCounter(
            loss_from(loss),
            ItemKeys(score_key, label_key, unit_key, case_key, group_key, shift_weight_key, weight_key, mask_key),
            CountingOptions(label_mode, include_background, masked, empty, unit_loss),
        )
        check_promisable(self.counter.loss, self.promise, self.counter.counting)
        self.settings = None if settings is None else DocumentSource("settings", TunedSettings, settings)
        self.output_path = output_path
        if output_path is not None:
            readable_record(self.counter.loss)  # or hours of counting could not be kept
        check_class_names(class_names)
        self.class_names = class_names
        self._calibration: Calibration | None = None
        self._table: LossTable | None = None
        self._tables: list[LossTable] = []
        self._warned: set[tuple[str, str]] = set()
        self._run: Literal["none", "begun", "complete"] = "none"

    @property
    def calibration(self) -> Calibration:
        """The result of the last finished run.

        Raises:
            RuntimeError: when no run has finished yet.
        """
        return result_of_run(self._calibration, "is no calibration")

    @property
    def table(self) -> LossTable:
        """The counts of the last finished run, of all processes together. Save it to calibrate with other hospitals.

        Raises:
            RuntimeError: when no run has finished yet.
        """
        return result_of_run(self._table, "is no loss table")

    def finish(self) -> None:
        """Join the exchange between processes where this one had no case: call it after each ``evaluator.run()``.

        MONAI's evaluator skips its run without a word to its handlers when its loader is empty, and the other processes
        would wait. Call it once after each run in every process, for several handlers in the order in which they are
        attached. It does nothing where the run took place.

        Raises:
            RuntimeError: when this process's run broke off, or another process failed.
            ValueError: when no process had a case.
        """
        run, self._run = self._run, "none"
        if run == "begun":
            raise RuntimeError(
                "The evaluator's run broke off, so only a part of the cases was counted and there is no new "
                "calibration. Let its error end this process instead of calling finish()."
            )
        if run == "none":
            self._calibrate([])

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or a bare ignite engine.

        Raises:
            OSError: in the process that writes, when ``output_path`` cannot be written, before any case is run.
        """
        if self.output_path is not None and is_first_process():
            check_writable(self.output_path)
        attach_to_epoch(engine, self._start, self._count, self._finish)

    def state_dict(self) -> dict[str, str]:
        """The last result, for a checkpoint."""
        return {"document": "" if self._calibration is None else json.dumps(self._calibration.to_document())}

    def load_state_dict(self, state: dict[str, str]) -> None:
        """Restore the result from a checkpoint."""
        text = state["document"]
        self._calibration = Calibration.from_document(parsed_json(text), "checkpoint") if text else None

    def _start(self, engine: Engine) -> None:
        self._tables, self._table, self._run, self._warned = [], None, "begun", set()

    def _count(self, engine: Engine) -> None:
        for item in engine_items(engine):
            self._tables.append(self.counter.table(item, len(self._tables), self._warned))

    def _finish(self, engine: Engine) -> None:
        tables, self._tables = self._tables, []
        self._calibrate(tables)
        self._run = "complete"
        for c, value in self.calibration.lambda_hat.items():
            engine.state.metrics[f"{self.counter.keys.score_key}_lambda_hat_{c}"] = value

    def _calibrate(self, tables: list[LossTable]) -> None:
        table = self.counter.joined(tables)
        if self.settings is not None:
            self.settings.current().check_unseen(table.units, "calibration", table.unit_name)
        with warned_by_first():
            calibration = calibration_of(
                table,
                self.promise,
                self.counter.counting,
                by_group=self.counter.keys.group_key is not None,
                weights=None if self.counter.keys.shift_weight_key is None else table.shift_weights,
                class_names=self.class_names,
            )
        save_by_first(calibration, self.output_path)
        self._table, self._calibration = table, calibration
