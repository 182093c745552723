"""Watching the cases of a deployed evaluator for a change since the calibration, as a MONAI handler."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ignite.engine import Engine

from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.handlers.case_counter import CaseCounter, ItemKeys
from monai_rwcp.handlers.epoch import attach_to_epoch, result_of_run, save_by_first
from monai_rwcp.handlers.items import engine_items, id_of_image, item_record
from monai_rwcp.handlers.summaries import ItemSummariser
from monai_rwcp.monitoring.betting import check_rate
from monai_rwcp.monitoring.case_summaries import CaseSummaries
from monai_rwcp.monitoring.monitor import ExchangeabilityMonitor
from monai_rwcp.monitoring.realised_loss import losses_of_units
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.utils.files import check_writable
from monai_rwcp.utils.processes import from_all_in_turn

__all__ = ["ExchangeabilityMonitorHandler"]


class ExchangeabilityMonitorHandler:
    """Say, after every run of a deployed evaluator, whether its cases still look like those of the calibration.

    Without labels it compares summaries of scores and images with those that
    :py:class:`monai_rwcp.CaseSummaryHandler` took of the calibration cases; with labels, which may come in a later run
    over the same cases, it tests whether the realised loss is above a tolerated one. The verdict is
    :py:attr:`monitor`, a JSON file, ``<score key>_change_martingale`` in ``engine.state.metrics``, and a warning when
    something has changed. See :py:class:`monai_rwcp.monitoring.ExchangeabilityMonitor` for what its rate means.

    A deployment is many runs: when the file exists the monitor continues from it, and refuses it when it belongs to
    another reference, rate, seed or tolerated loss. A case counts once over all runs; all images of a unit should be
    in one run. Use one file for one stream, and one process (or one `torch.distributed` group) at a time. A run that
    fails leaves the file as it was.

    Args:
        reference: summaries of the calibration cases, or the path of their file, which is read when a run starts.
        output_path: where the verdict is written, and where it continues from; None keeps it in memory.
        score_key, image_key, unit_key, case_key: as in :py:class:`monai_rwcp.CaseSummaryHandler`; without ``unit_key``
            each image needs an id that stays the same in all runs.
        false_alarm_rate: probability of ever raising a false alarm, in (0, 1).
        seed: of the random numbers that break ties; choose it once.
        calibration: the calibration whose promise is watched, or its path; needed for labels.
        label_key: key of the truth; items without one are watched without it.
        mask_key: key of a mask ``[1, *spatial]`` that is not 0 where voxels of the label count.
        tolerated: mean loss that is tolerated, the same for every class; ``alpha`` and a margin, see
            :py:class:`monai_rwcp.monitoring.RealisedLossMonitor`.

    Raises:
        ValueError: when a rate or the tolerated loss is not in (0, 1), or ``label_key``, ``calibration`` and
            ``tolerated`` are not given together; while running, when a case does not fit.

    Example:
        >>> import torch
        >>> from ignite.engine import Engine
        >>> from monai_rwcp import CaseSummaryHandler
        >>> def engine(handler, first, gain):
        ...     generator = torch.Generator().manual_seed(first)
        ...     def step(engine, case):
        ...         score = torch.rand(2, 8, 8, generator=generator) ** gain
        ...         return [{"pred": score, "patient": f"patient {case}"}]
        ...     handler.attach(result := Engine(step))
        ...     return result
        >>> reference = CaseSummaryHandler(unit_key="patient")
        >>> _ = engine(reference, 0, 1.0).run(range(40))
        >>> handler = ExchangeabilityMonitorHandler(reference.summaries, unit_key="patient")
        >>> _ = engine(handler, 40, 1.0).run(range(40, 80))
        >>> handler.monitor.verdict
        'no evidence of change'
    """

    def __init__(
        self,
        reference: CaseSummaries | str | Path,
        output_path: str | Path | None = None,
        score_key: str = "pred",
        image_key: str | None = None,
        unit_key: str | None = None,
        case_key: str | None = None,
        false_alarm_rate: float = 0.01,
        seed: int = 0,
        calibration: Calibration | str | Path | None = None,
        label_key: str | None = None,
        mask_key: str | None = None,
        tolerated: float | None = None,
    ) -> None:
        check_rate(false_alarm_rate)
        if tolerated is not None:
            check_rate(tolerated, "tolerated")
        if (calibration is None) != (tolerated is None) or (label_key is not None and calibration is None):
            raise ValueError(
                "Expected `calibration` and `tolerated` together, with `label_key` for labels in the evaluator's items "
                f"or observe_loss for others, but got calibration={calibration!r}, tolerated={tolerated!r}, "
                f"label_key={label_key!r}. A common choice is tolerated = alpha + 2 sqrt(alpha (1 - alpha) / n)."
            )
        self.reference, self.calibration = reference, calibration
        self.output_path = output_path
        self.score_key, self.image_key, self.label_key, self.mask_key = score_key, image_key, label_key, mask_key
        self.unit_key, self.case_key = unit_key, case_key
        self.false_alarm_rate, self.seed, self.tolerated = false_alarm_rate, seed, tolerated
        self._monitor: ExchangeabilityMonitor | None = None
        self._known: tuple[CaseSummaries, Calibration | None] | None = None
        self._parts: list[CaseSummaries] = []
        self._tables: list[LossTable] = []
        self._warned: set[tuple[str, str]] = set()

    @property
    def monitor(self) -> ExchangeabilityMonitor:
        """The monitor as of the last finished run.

        Raises:
            RuntimeError: when no run has started yet.
        """
        return result_of_run(self._monitor, "is no verdict")

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or a bare ignite engine.

        Raises:
            OSError: when ``output_path`` cannot be written, before any case is run.
        """
        if self.output_path is not None:
            check_writable(self.output_path)
        attach_to_epoch(engine, self._start, self._collect, self._finish)

    def observe_loss(self, case: str, losses: Mapping[int, float]) -> None:
        """Take the losses of a case whose label became known outside an evaluator, and write the verdict.

        Args:
            case: name of the unit (the patient).
            losses: loss in [0, 1] by class; leave out a class that does not count for the case.

        Raises:
            ValueError: when no ``tolerated`` was given, a class was not calibrated, or a loss is not in [0, 1].
        """
        self._open()
        _, calibration = self._documents()
        wrong = [c for c in losses if calibration is not None and c not in calibration.classes]
        if calibration is None or wrong:
            raise ValueError(
                f"Expected losses of calibrated classes, got one of class {(wrong or list(losses))[0]}. Give the "
                "handler `calibration` and `tolerated`, and name classes as the calibration does."
            )
        self.monitor.observe_loss(case, {calibration.class_name(c): float(loss) for c, loss in losses.items()})
        self._close()

    def _documents(self) -> tuple[CaseSummaries, Calibration | None]:
        if self._known is None:
            reference, calibration = self.reference, self.calibration
            if not isinstance(reference, CaseSummaries):
                reference = CaseSummaries.load(reference)
            if isinstance(calibration, (str, Path)):
                calibration = Calibration.load(calibration)
            if self.label_key is not None and calibration is not None and calibration.loss.needs_weight:
                raise ValueError(
                    f"The loss {calibration.loss.name!r} needs a weight map for every case, which this handler does "
                    "not read. Leave label_key out, and give the losses to observe_loss."
                )
            self._known = (reference, calibration)
        return self._known

    def _open(self) -> None:
        reference, calibration = self._documents()
        unit = "image" if self.unit_key is None else self.unit_key
        if unit != reference.unit_name or (self.image_key is not None) != reference.with_image:
            raise ValueError(
                f"Expected a handler like that of the reference, with units of kind '{reference.unit_name}' and "
                f"{'an' if reference.with_image else 'no'} `image_key`, but got unit_key={self.unit_key!r} and "
                f"image_key={self.image_key!r}."
            )
        tolerated: dict[str, float] = {}
        if calibration is not None and self.tolerated is not None:
            tolerated = {calibration.class_name(c): float(self.tolerated) for c in calibration.classes}
        if self.output_path is not None and Path(self.output_path).exists():
            # The file may have grown since: another run, or losses from elsewhere.
            self._monitor = ExchangeabilityMonitor.load(
                self.output_path,
                reference,
                false_alarm_rate=self.false_alarm_rate,
                seed=self.seed,
                tolerated=tolerated,
            )
        elif self._monitor is None:
            self._monitor = ExchangeabilityMonitor(
                reference, false_alarm_rate=self.false_alarm_rate, seed=self.seed, tolerated=tolerated
            )

    def _start(self, engine: Engine) -> None:
        self._parts, self._tables, self._warned = [], [], set()
        self._open()

    def _collect(self, engine: Engine) -> None:
        reference, calibration = self._documents()
        summariser = ItemSummariser(
            self.score_key, self.image_key, self.unit_key, reference.thresholds, reference.include_background
        )
        for item in engine_items(engine):
            number = None if self.unit_key is None else len(self._parts)
            image = id_of_image(item, self.case_key, (self.score_key,), number)
            record = item_record(item, self.score_key)
            self._check_record(image, record, "reference", reference.provenance)
            self._parts.append(summariser.summaries(item, image))
            if calibration is not None and self.label_key is not None and item.get(self.label_key) is not None:
                self._check_record(image, record, "calibration", calibration.provenance)
                self._tables.append(self._counter(calibration).table(item, len(self._tables), self._warned))

    def _counter(self, calibration: Calibration) -> CaseCounter:
        return CaseCounter(
            calibration.loss,
            ItemKeys(self.score_key, str(self.label_key), self.unit_key, self.case_key, mask_key=self.mask_key),
            replace(calibration.counting, masked=self.mask_key is not None),
        )

    def _check_record(self, image: str, record: ScoreRecord, of: str, expected: ScoreRecord) -> None:
        differing = expected.first_difference(record)
        if differing is not None:
            raise ValueError(
                f"Case {image!r}: its score '{self.score_key}' was made in another way than those of the {of}: "
                f"{differing.in_words(f'the {of}')}. Make scores the same way, or calibrate and summarise anew."
            )

    def _finish(self, engine: Engine) -> None:
        parts, tables = from_all_in_turn(self._parts), from_all_in_turn(self._tables)
        self._parts, self._tables = [], []
        if parts:
            for unit, summary in CaseSummaries.join(parts).units.items():
                self.monitor.observe(unit, summary)
        _, calibration = self._documents()
        if tables and calibration is not None:
            for unit, losses in losses_of_units(LossTable.join(tables), calibration).items():
                self.monitor.observe_loss(unit, losses)
        engine.state.metrics[f"{self.score_key}_change_martingale"] = self.monitor.martingale
        self._close()

    def _close(self) -> None:
        if self.output_path is not None:
            # The next run reads the file in every process.
            save_by_first(self.monitor, self.output_path)
        if self.monitor.alarmed_after is not None or self.monitor.loss_alarms:
            warnings.warn(self.monitor.in_words, stacklevel=2)
