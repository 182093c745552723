"""Writing the report of an evaluator's run, as a MONAI handler."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.set_sizes import set_sizes
from monai_rwcp.handlers.epoch import attach_to_epoch
from monai_rwcp.handlers.items import (
    check_grids,
    engine_items,
    errors_of_case,
    id_of_image,
    item_name,
    item_score,
    item_value,
)
from monai_rwcp.report.case_maps import CaseMaps
from monai_rwcp.report.gathered import GatheredReport
from monai_rwcp.utils.arguments import check_choice
from monai_rwcp.utils.document_source import DocumentSource
from monai_rwcp.utils.files import check_writable, written_whole
from monai_rwcp.utils.names import UNNAMED
from monai_rwcp.utils.processes import done_by_first
from monai_rwcp.utils.tensors import item_tensor

__all__ = ["ReportHandler"]


class ReportHandler:
    """Write one page of what was promised and observed over the labelled cases of an evaluator's run.

    It reads ``engine.state.output``, a list of item dictionaries as `SupervisedEvaluator(decollate=True)` leaves them
    after a chain with `ConformalThresholdd` or `ConformalSandwichd` (and ``engine.state.batch`` for keys that are not
    there), over patients that were not calibrated on. When the run ends the page is written, whole or not at all; it
    needs no network and nothing beside it. Of each case figures are kept, and slices of the worst ones; no volume
    stays in memory. Every run starts anew. Under `torch.distributed` the cases of all processes are joined, one that
    two of them saw counts once, and the first process writes.

    Args:
        calibration: what the sets were made with, or the path of it, which is read when the run starts.
        output_path: where the page goes, HTML; a file there is replaced.
        set_key: key of the prediction set, zeros and ones ``[C, *spatial]``.
        label_key: key of the truth.
        unit_key: key of the exchangeable unit's name, such as "patient"; None takes every image as a unit. As the
            calibration was made.
        case_key: key of a name that each image has alone (each slice, not each patient); None takes the file name
            from the meta data where there is one, and counts up otherwise.
        stratum_key: key of the name of a group to look at by itself, such as "scanner"; None for none.
        image_key: key of the image that slices of the worst cases show; it may lie on the grid before `Invertd`, its
            affine tells where. None shows a grey ground.
        score_key: key of the score the sets were made of, for the set size against lambda; None leaves it out.
        inner_key: key of the inner set, such as "pred_inner" of `ConformalSandwichd`, whose band to the set is shown;
            None for none.
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"``; None for that of the calibration.
        n_shown: how many of the worst sets, by missed share, are shown slice by slice.

    Raises:
        TypeError: when ``calibration`` is neither.
        ValueError: when an option is not known; while running, when a case does not fit.

    Example:
        >>> import tempfile
        >>> from monai_rwcp.conformal import ClassCalibration, Promise
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)})
        >>> def step(engine, case):
        ...     found = torch.tensor([[[0, 0, 0, 0]], [[1, 1, 1, 0]]], dtype=torch.uint8)
        ...     return [{"pred_set": found, "label": torch.tensor([[[0, 1, 1, 1]]]), "patient": f"patient {case}"}]
        >>> engine, path = Engine(step), Path(tempfile.mkdtemp()) / "report.html"
        >>> ReportHandler(calibration, path, unit_key="patient").attach(engine)
        >>> _ = engine.run(range(10))
        >>> "33.3 % missed" in path.read_text()
        True
    """

    def __init__(
        self,
        calibration: Calibration | str | os.PathLike,
        output_path: str | os.PathLike,
        set_key: str = "pred_set",
        label_key: str = "label",
        unit_key: str | None = None,
        case_key: str | None = None,
        stratum_key: str | None = None,
        image_key: str | None = None,
        score_key: str | None = None,
        inner_key: str | None = None,
        label_mode: LabelMode | None = None,
        n_shown: int = 4,
    ) -> None:
        if label_mode is not None:
            check_choice("label_mode", label_mode, get_args(LabelMode))
        if n_shown < 0:
            raise ValueError(f"Expected `n_shown` from 0 on, but got {n_shown}.")
        self.calibration = DocumentSource("calibration", Calibration, calibration)
        self.output_path = Path(output_path)
        self.set_key, self.label_key = set_key, label_key
        self.unit_key, self.case_key, self.stratum_key = unit_key, case_key, stratum_key
        self.image_key, self.score_key, self.inner_key = image_key, score_key, inner_key
        self.label_mode, self.n_shown = label_mode, n_shown
        self._gathered: GatheredReport | None = None
        self._n_images = 0
        self._warned: set[tuple[str, str]] = set()

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator or a bare ignite engine.

        Raises:
            OSError: when ``output_path`` cannot be written, before any case is run.
        """
        check_writable(self.output_path)
        attach_to_epoch(engine, self._start, self._collect, self._finish)

    def _start(self, engine: Engine) -> None:
        calibration = self.calibration.current()
        unit = "image" if self.unit_key is None else self.unit_key
        if (unit in UNNAMED) != (calibration.unit_name in UNNAMED):
            raise ValueError(
                f"Expected units of kind {calibration.unit_name!r}, as calibrated, but got unit_key={self.unit_key!r}. "
                "Name the key that names them."
            )
        self._gathered, self._n_images, self._warned = GatheredReport(calibration, self.n_shown), 0, set()

    def _collect(self, engine: Engine) -> None:
        assert self._gathered is not None
        for item in engine_items(engine):
            name = id_of_image(item, self.case_key, (self.set_key, self.label_key), self._n_images)
            self._n_images += 1
            with errors_of_case(name, set=self.set_key, label=self.label_key):
                self._gathered.add(self._maps(item, name, self._gathered.calibration))

    def _maps(self, item: dict[str, Any], name: str, calibration: Calibration) -> CaseMaps:
        keys = {"label": self.label_key, "inner set": self.inner_key, "score": self.score_key}
        check_grids(item, self._warned, set=self.set_key, **keys)
        found, label = item_value(item, self.set_key), item_value(item, self.label_key)
        if found.ndim not in (3, 4) or found.shape[0] != calibration.n_channels:
            raise ValueError(
                f"Expected a set [{calibration.n_channels}, *spatial] with 2 or 3 spatial axes, as calibrated, but got "
                f"the shape {tuple(found.shape)}."
            )
        if isinstance(label, MetaTensor) and not isinstance(found, MetaTensor):
            found = MetaTensor(torch.as_tensor(found), affine=label.affine)
        sizes = None
        if self.score_key is not None:
            sizes = set_sizes(item_score(item, self.score_key), list(calibration.classes))
        return CaseMaps(
            name,
            name if self.unit_key is None else item_name(item, self.unit_key),
            found,
            item_tensor(label),
            calibration.counting.label_mode if self.label_mode is None else self.label_mode,
            inner=None if self.inner_key is None else item_value(item, self.inner_key),
            image=None if self.image_key is None else lambda: item_value(item, str(self.image_key)),
            stratum=None if self.stratum_key is None else item_name(item, self.stratum_key),
            sizes=sizes,
        )

    def _finish(self, engine: Engine) -> None:
        assert self._gathered is not None
        joined = self._gathered.joined()
        self._gathered = None

        def write() -> None:
            with written_whole(self.output_path) as temporary:
                temporary.write_text(joined.page(), encoding="utf-8")

        done_by_first(write)
