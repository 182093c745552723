"""Measuring the prediction sets of the cases an evaluator runs over, as a MONAI handler."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine

from monai_rwcp.conformal.counting.labels import LabelMode, check_single_channel, truth_masks
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.handlers.epoch import attach_to_epoch
from monai_rwcp.handlers.items import check_grids, engine_items, errors_of_case, id_of_image, item_name, item_value
from monai_rwcp.metrics.cumulative import PredictionSetMetrics
from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.tensors import item_tensor

__all__ = ["PredictionSetMetricsHandler"]


class PredictionSetMetricsHandler:
    """Measure the prediction set of every labelled case of an evaluator's run against its truth.

    It reads ``engine.state.output``, a list of item dictionaries as `SupervisedEvaluator(decollate=True)` leaves them
    after a chain with `ConformalThresholdd` (and ``engine.state.batch`` for keys that are not there). When the run ends
    ``engine.state.metrics`` holds every figure of :py:func:`monai_rwcp.metrics.class_figures` for each class by its
    channel number, such as ``pred_set_fnr_1``, with strata also ``pred_set_fnr_1_<stratum>``; and
    ``engine.state.metric_details`` holds tables of the images, float64 ``[N, classes]``, such as ``pred_set_stretch``
    (see :py:meth:`monai_rwcp.metrics.PredictionSetMetrics.per_image`), whose first column is the first measured class.
    MONAI's `MetricsSaver` writes both, when it stands behind this handler in the list of handlers. Sizes in mm come
    from the meta data of set or label. Every run starts anew, and the cases of all processes are joined.

    It goes into ``val_handlers``, or into ``key_val_metric`` and ``additional_metrics`` under a name, which then stands
    in place of the set's key; the mean Dice of the sets over classes is published under the name itself, to compare
    epochs by.

    Args:
        set_key: key of the prediction set, zeros and ones ``[C, *spatial]``. Defaults to "pred_set".
        label_key: key of the truth. Defaults to "label".
        alpha: highest expected false negative rate that was promised, in (0, 1). Defaults to None: no coverage gap.
        unit_key: key of the exchangeable unit's name, such as "patient". Defaults to None: every image is a unit.
        case_key: key of a name that each image has alone (each slice, not each patient). Defaults to None: the image's
            file name from the meta data where there is one; without one each image counts.
        stratum_key: key of the name of a group to look at by itself, such as "scanner". Defaults to None.
        mask_key: key of a mask ``[1, *spatial]`` that is not 0 where voxels count; sets and truth elsewhere are passed
            over. Defaults to None: all voxels count.
        label_mode: ``"index"`` (class numbers), ``"one_hot"`` or ``"regions"`` (overlapping structures). Defaults to
            ``"index"``.
        include_background: whether channel 0 is measured too; regions have no background. Defaults to False.
        slice_thickness: in mm, for the volume of sets in 2D images. Defaults to None: it is nan.

    Raises:
        ValueError: when ``alpha`` or ``slice_thickness`` is outside its range; while running, when a case does not fit.

    Example:
        >>> def step(engine, case):
        ...     found = torch.tensor([[[0, 0, 0, 0]], [[1, 1, 1, 0]]], dtype=torch.uint8)
        ...     return [{"pred_set": found, "label": torch.tensor([[[0, 1, 1, 1]]]), "patient": f"patient {case}"}]
        >>> engine = Engine(step)
        >>> PredictionSetMetricsHandler(alpha=0.1, unit_key="patient").attach(engine)
        >>> _ = engine.run(range(10))
        >>> engine.state.metrics["pred_set_stretch_median_1"], round(engine.state.metrics["pred_set_fnr_1"], 3)
        (1.0, 0.333)
    """

    def __init__(
        self,
        set_key: str = "pred_set",
        label_key: str = "label",
        alpha: float | None = None,
        unit_key: str | None = None,
        case_key: str | None = None,
        stratum_key: str | None = None,
        mask_key: str | None = None,
        label_mode: LabelMode = "index",
        include_background: bool = False,
        slice_thickness: float | None = None,
    ) -> None:
        self.counting = CountingOptions(label_mode, include_background, masked=mask_key is not None)
        self.set_key, self.label_key = set_key, label_key
        self.unit_key, self.case_key, self.stratum_key, self.mask_key = unit_key, case_key, stratum_key, mask_key
        self.metric = PredictionSetMetrics(include_background or label_mode == "regions", alpha, slice_thickness)
        self._name: str | None = None
        self._n_images = 0
        self._warned: set[tuple[str, str]] = set()

    def attach(self, engine: Engine, name: str | None = None) -> None:
        """Attach to an evaluator or a bare ignite engine.

        Args:
            engine: the engine.
            name: what the published names begin with. Defaults to None: the key of the set.
        """
        self._name = name
        attach_to_epoch(engine, self._start, self._measure, self._publish)

    def _start(self, engine: Engine) -> None:
        self.metric.reset()
        self._n_images, self._warned = 0, set()

    def _measure(self, engine: Engine) -> None:
        for item in engine_items(engine):
            image = id_of_image(item, self.case_key, (self.set_key, self.label_key), self._n_images)
            self._n_images += 1
            with errors_of_case(image, set=self.set_key, label=self.label_key):
                self._measure_item(item, image)

    def _measure_item(self, item: dict[str, Any], image: str) -> None:
        check_grids(item, self._warned, set=self.set_key, label=self.label_key, mask=self.mask_key)
        found = item_tensor(item_value(item, self.set_key))
        label = item_tensor(item_value(item, self.label_key)).to(found.device)
        counted = None
        if self.mask_key is not None:
            mask = item_tensor(item_value(item, self.mask_key)).to(found.device)
            check_single_channel("mask", mask, found)
            counted = mask[0] != 0
        truth = truth_masks(label, found, tuple(range(found.shape[0])), self.counting.label_mode, counted)
        voxel = voxel_of(item[self.set_key]) or voxel_of(item[self.label_key])
        self.metric(
            [found if counted is None else found * counted],
            [torch.stack(list(truth.values()))],
            spacing=None if voxel is None else [voxel],
            images=[image],
            units=None if self.unit_key is None else [item_name(item, self.unit_key)],
            strata=None if self.stratum_key is None else [item_name(item, self.stratum_key)],
        )

    def _publish(self, engine: Engine) -> None:
        name = self.set_key if self._name is None else self._name
        figures, classes = self.metric.aggregate(), self.metric.classes
        published = {
            f"{figure}_{c}": float(v)
            for figure, values in figures.items()
            for c, v in zip(classes, values, strict=True)
        }
        for stratum, values in self.metric.by_stratum().items():
            published |= {f"fnr_{c}_{stratum}": v for c, v in zip(classes, values.tolist(), strict=True)}
        engine.state.metrics |= {f"{name}_{figure}": value for figure, value in published.items()}
        if self._name is not None:
            engine.state.metrics[name] = figures["dice"].nanmean().item()
        # MONAI's evaluators have this, bare engines do not.
        details = getattr(engine.state, "metric_details", {})
        details |= {f"{name}_{figure}": rows for figure, rows in self.metric.per_image().items()}
        engine.state.metric_details = details  # type: ignore[attr-defined]
