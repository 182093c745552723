"""Summarising the calibration cases for later comparison, as a MONAI handler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from monai_rwcp.handlers.epoch import attach_to_epoch, result_of_run, save_by_first
from monai_rwcp.handlers.items import (
    engine_items,
    errors_of_case,
    id_of_image,
    item_name,
    item_record,
    item_score,
    item_value,
)
from monai_rwcp.monitoring.case_summaries import CaseSummaries, ImageSummary
from monai_rwcp.monitoring.summarising import case_summary, check_summary_thresholds
from monai_rwcp.utils.files import check_writable
from monai_rwcp.utils.processes import from_all_in_turn
from monai_rwcp.utils.tensors import item_tensor

__all__ = ["CaseSummaryHandler", "ItemSummariser"]


class CaseSummaryHandler:
    """Summarise the cases of an evaluator's run without their labels, as the reference of a monitor.

    Attach it beside :py:class:`monai_rwcp.ConformalCalibrationHandler`, with the same keys. It reads
    ``engine.state.output``, a list of item dictionaries as `SupervisedEvaluator(decollate=True)` leaves them after
    post-processing, and keeps a few numbers a case. When the run ends the result is :py:attr:`summaries`, and the file
    is written. Every run starts anew. Under `torch.distributed` the cases of all processes are joined, an image that
    two of them saw counts once, and the first process writes the file.

    Args:
        score_key: key of the score.
        image_key: key of the image whose intensities are summarised, too (before or after `Invertd`, but the same for
            the monitor); None takes the score only, which sees fewer changes.
        unit_key: key of the exchangeable unit's name, such as "patient"; None takes every image as a unit.
        case_key: key of an id that each image has alone; None takes the file name from the meta data where there is
            one, and counts up otherwise.
        thresholds, include_background: see :py:func:`monai_rwcp.monitoring.case_summary`.
        output_path: where the summaries are written; None writes none.

    Raises:
        ValueError: when a threshold is not in (0, 1); while running, when a case does not fit.

    Example:
        >>> import torch
        >>> from ignite.engine import Engine
        >>> engine = Engine(lambda engine, case: [{"pred": torch.rand(2, 4, 4), "patient": f"patient {case}"}])
        >>> handler = CaseSummaryHandler(unit_key="patient")
        >>> handler.attach(engine)
        >>> _ = engine.run(range(10))
        >>> handler.summaries.names, len(handler.summaries.units)
        (('share of class 1 at 0.5', 'uncertainty'), 10)
    """

    def __init__(
        self,
        score_key: str = "pred",
        image_key: str | None = None,
        unit_key: str | None = None,
        case_key: str | None = None,
        thresholds: Sequence[float] = (0.5,),
        include_background: bool = False,
        output_path: str | Path | None = None,
    ) -> None:
        check_summary_thresholds(thresholds)
        self.summariser = ItemSummariser(
            score_key, image_key, unit_key, tuple(float(t) for t in thresholds), include_background
        )
        self.case_key = case_key
        self.output_path = output_path
        self._summaries: CaseSummaries | None = None
        self._parts: list[CaseSummaries] = []

    @property
    def summaries(self) -> CaseSummaries:
        """The result of the last finished run.

        Raises:
            RuntimeError: when no run has finished yet.
        """
        return result_of_run(self._summaries, "are no summaries")

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or a bare ignite engine.

        Raises:
            OSError: when ``output_path`` cannot be written, before any case is run.
        """
        if self.output_path is not None:
            check_writable(self.output_path)
        attach_to_epoch(engine, self._start, self._summarise, self._finish)

    def _start(self, engine: Engine) -> None:
        self._parts = []

    def _summarise(self, engine: Engine) -> None:
        for item in engine_items(engine):
            image = id_of_image(item, self.case_key, (self.summariser.score_key,), len(self._parts))
            self._parts.append(self.summariser.summaries(item, image))

    def _finish(self, engine: Engine) -> None:
        parts = from_all_in_turn(self._parts)
        self._parts = []
        if not parts:
            raise ValueError("The evaluator ran over no case, so there is nothing to summarise.")
        self._summaries = CaseSummaries.join(parts)
        save_by_first(self._summaries, self.output_path)


@dataclass(frozen=True)
class ItemSummariser:
    """What to read from an item, and how to summarise it; see :py:class:`CaseSummaryHandler` for each.

    Example:
        >>> import torch
        >>> summariser = ItemSummariser("pred", None, None, thresholds=(0.5,), include_background=False)
        >>> found = summariser.summaries({"pred": torch.tensor([[[0.25, 0.5]]])}, "anna")
        >>> found.units["anna"]["share of class 0 at 0.5"]
        0.5
    """

    score_key: str
    image_key: str | None
    unit_key: str | None
    thresholds: tuple[float, ...]
    include_background: bool

    def summaries(self, item: dict[str, Any], image: str) -> CaseSummaries:
        """Summarise one item.

        Args:
            item: dictionary with a score ``[C, *spatial]`` and, with ``image_key``, an image ``[channels, *spatial]``.
            image: id of its image.

        Returns:
            summaries of one image.

        Raises:
            KeyError: when a key is missing.
            ValueError: when score or image is none; the message names the case and the keys.
        """
        with errors_of_case(image, score=self.score_key, image=self.image_key):
            values = case_summary(
                item_score(item, self.score_key),
                None if self.image_key is None else item_tensor(item_value(item, self.image_key)),
                thresholds=self.thresholds,
                include_background=self.include_background,
            )
        return CaseSummaries(
            {image: ImageSummary(image if self.unit_key is None else item_name(item, self.unit_key), values)},
            unit_name="image" if self.unit_key is None else self.unit_key,
            thresholds=self.thresholds,
            include_background=self.include_background,
            with_image=self.image_key is not None,
            provenance=item_record(item, self.score_key),
        )
