"""What the prediction sets of a whole data set are worth, as a MONAI metric that collects image by image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, cast

import torch
from monai.metrics import CumulativeIterationMetric

from monai_rwcp.metrics.checks import check_entries
from monai_rwcp.metrics.collected import CollectedImage, counted_once, image_figures
from monai_rwcp.metrics.prediction_set import prediction_set_metrics
from monai_rwcp.metrics.summary import ImageFigures, class_figures, stratum_false_negative_rates
from monai_rwcp.metrics.voxel_size import Batch, Spacing, volume_ml, voxels_of
from monai_rwcp.utils.names import optional_name
from monai_rwcp.utils.processes import from_all
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.tensors import item_tensor
from monai_rwcp.utils.voxels import Voxel

__all__ = ["PredictionSetMetrics"]


class PredictionSetMetrics(CumulativeIterationMetric):
    r"""Collect what prediction sets are worth, image by image, and sum it up by class.

    The false negative rate is pooled over the images of a unit, such as a patient, before it is averaged, as it is
    promised by a calibration. See :py:func:`monai_rwcp.metrics.class_figures` for all figures and their formulas and
    :py:func:`monai_rwcp.metrics.prediction_set_metrics` for those of one set.

    Call it with a batch, then :py:meth:`aggregate`, and :py:meth:`reset` before the next round. Under
    `torch.distributed` the images of all processes are joined; all must then call :py:meth:`aggregate` and the like in
    the same order, also one without images. What several saw counts once when ``images`` names it.

    Args:
        include_background: whether channel 0 is measured too. Defaults to False; a single channel always is.
        alpha: highest expected false negative rate that was promised, in (0, 1). Defaults to None: no coverage gap.
        slice_thickness: in mm, above 0; for 2D images, whose sets have no volume without. Defaults to None: their size
            in millilitres is nan.

    Raises:
        ValueError: when ``alpha`` or ``slice_thickness`` is outside its range.

    Source: false negative rate and its promise, arXiv 2208.02814; distances and Dice, MONAI.

    Example:
        >>> import torch
        >>> metric = PredictionSetMetrics(alpha=0.1)
        >>> truth = torch.tensor([[[1, 0, 0, 0]], [[0, 1, 1, 1]]])
        >>> found = torch.tensor([[[0, 0, 0, 0]], [[0, 1, 1, 0]]])
        >>> for patient in ("anna", "ben"):
        ...     _ = metric([found], [truth], units=[patient])
        >>> {name: round(value.item(), 3) for name, value in metric.aggregate().items() if name in ("fnr", "n_units")}
        {'fnr': 0.333, 'n_units': 2.0}
    """

    columns = ("missed", "true", "size", "dice", "components", "assd", "hd95", "size_ml")

    def __init__(
        self, include_background: bool = False, alpha: float | None = None, slice_thickness: float | None = None
    ) -> None:
        if alpha is not None and not 0 < alpha < 1:
            raise ValueError(f"Expected `alpha` in (0, 1), such as 0.1, but got {alpha}.")
        if slice_thickness is not None and not 0 < slice_thickness < math.inf:
            raise ValueError(
                f"Expected `slice_thickness` in mm, above 0 and finite, but got {slice_thickness}. Leave it out when "
                "it is not known."
            )
        self.include_background = include_background
        self.alpha = alpha
        self.slice_thickness = slice_thickness
        super().__init__()

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._warned: set[tuple[str, str]] = set()
        self._records: list[CollectedImage] = []
        self._all_records: list[CollectedImage] = []

    # MONAI declares **kwargs; named arguments are what makes a misspelt one an error.
    def __call__(  # type: ignore[override]
        self,
        y_pred: Batch,
        y: Batch | None = None,
        *,
        spacing: Spacing | None = None,
        images: Sequence[str | None] | None = None,
        units: Sequence[str | None] | None = None,
        strata: Sequence[str | None] | None = None,
    ) -> torch.Tensor:
        """Measure the sets of a batch and keep their figures.

        Args:
            y_pred: the sets, zeros and ones of any dtype: ``[B, C, *spatial]`` or a list of ``[C, *spatial]``, 2D or
                3D.
            y: the truth, zeros and ones in the same form (one-hot or overlapping regions; no map of class numbers).
            spacing: voxel size in mm, above 0, as in MONAI's surface metrics: one number, one for each axis, or these
                for each image; or a voxel for each image. None takes that of the set or else the truth where it is a
                `MetaTensor`, or voxels. Grids may be sheared: the angles are those of the affine.
            images: a name that each image has alone, so that a repeated one counts once; None counts each.
            units: name of the exchangeable unit (the patient) of each image; None takes every image as a unit.
            strata: name of the stratum of each image; None stands for no strata.

        Returns:
            float64 ``[B, classes, 8]``, the figures in the order of ``columns``.

        Raises:
            ValueError: when the numbers, shapes or grids of sets and truths differ, values are not 0 or 1, or the
                spacing does not fit.
        """
        if y is None:
            raise ValueError("Expected the truth in `y`, but got None. A prediction set is measured against it.")
        check_entries(len(y_pred), y=y, images=images, units=units, strata=strata)
        voxels = voxels_of(spacing, y_pred, y)
        figures = super().__call__(y_pred, y, voxels=voxels)
        for i, voxel in enumerate(voxels):
            names = [optional_name(of and of[i], f"a name of image {i}") for of in (images, units, strata)]
            self._records.append(CollectedImage(y_pred[i].shape[0], voxel is not None, *names))
        return cast(torch.Tensor, figures)

    def aggregate(self) -> dict[str, torch.Tensor]:
        """Sum up the figures of all images.

        Returns:
            for each figure of :py:func:`monai_rwcp.metrics.class_figures` a float64 tensor ``[classes]``, in the
            order of :py:attr:`classes`; nan where it is not defined.

        Raises:
            ValueError: when there is no image, when some have a spacing and others none, when they differ in their
                channels, or when one name stands for two different images.
        """
        summaries = [class_figures(images, self.alpha) for images in self._counted_images()]
        return {name: torch.tensor([s[name] for s in summaries], dtype=torch.float64) for name in summaries[0]}

    def by_stratum(self) -> dict[str, torch.Tensor]:
        """Average the false negative rate within each stratum.

        Returns:
            for each stratum a float64 tensor ``[classes]`` in [0, 1], nan where it does not show the class, see
            :py:func:`monai_rwcp.metrics.stratum_false_negative_rates`; empty without strata.

        Raises:
            ValueError: as :py:meth:`aggregate`.
        """
        rates = [stratum_false_negative_rates(images) for images in self._counted_images()]
        return {name: torch.tensor([r[name] for r in rates], dtype=torch.float64) for name in rates[0]}

    def per_image(self) -> dict[str, torch.Tensor]:
        """The figures of each image, in the order the images were given, one process after the other.

        Returns:
            for each figure of :py:meth:`monai_rwcp.metrics.ImageFigures.named` a float64 tensor ``[N, classes]``, nan
            where it is not defined. An image that was given twice has two rows.

        Raises:
            ValueError: as :py:meth:`aggregate`, but for names.
        """
        rows = [[figures.named() for figures in image] for image in self._all_images()]
        return {
            name: torch.tensor([[figures[name] for figures in image] for image in rows], dtype=torch.float64)
            for name in rows[0][0]
        }

    @property
    def classes(self) -> tuple[int, ...]:
        """Channel numbers of the measured classes; a ValueError when there is no image yet."""
        self._joined_buffer()
        return self._classes(self._all_records[0].n_channels)

    def _classes(self, n_channels: int) -> tuple[int, ...]:
        return tuple(range(0 if self.include_background or n_channels == 1 else 1, n_channels))

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        return self._compute_list(y_pred, y, **kwargs)

    def _compute_list(self, y_pred: Any, y: Any = None, **kwargs: Any) -> torch.Tensor:
        rows = []
        for i, voxel in enumerate(kwargs["voxels"]):
            check_same_grid({"set": (f"y_pred[{i}]", y_pred[i]), "truth": (f"y[{i}]", y[i])}, self._warned)
            found, true = item_tensor(y_pred[i]), item_tensor(y[i])
            if found.ndim not in (3, 4) or found.shape != true.shape:
                raise ValueError(
                    "Expected a prediction set and its truth of one shape [channels, *spatial] with 2 or 3 spatial "
                    f"axes, but image {i} of the batch has {tuple(found.shape)} and {tuple(true.shape)}. A map of "
                    "class numbers becomes one-hot by AsDiscrete(to_onehot=...)."
                )
            rows.append([self._row(i, c, found[c], true[c], voxel) for c in self._classes(found.shape[0])])
            if len(rows[i]) != len(rows[0]):
                raise ValueError(
                    f"Expected as many channels in every image, but image 0 of the batch has {y_pred[0].shape[0]} and "
                    f"image {i} has {found.shape[0]}."
                )
        return torch.tensor(rows, dtype=torch.float64)

    def _row(
        self,
        image: int,
        class_index: int,
        found: torch.Tensor,
        true: torch.Tensor,
        voxel: Voxel | None,
    ) -> tuple[float, ...]:
        try:
            figures = prediction_set_metrics(found, true, spacing=voxel)
        except ValueError as error:
            raise ValueError(f"Image {image} of the batch, class {class_index}: {error}") from error
        return (*astuple(figures), volume_ml(figures.size, voxel, self.slice_thickness))

    def _sync(self) -> None:
        # MONAI's own gathers tensors of images alone, and waits forever for a process that has none.
        shares = from_all((self._buffers[0] if self._buffers else [], self._records))
        rows = [row for share, _ in shares for row in share]
        self._all_records = [record for _, share in shares for record in share]
        if len({record.n_channels for record in self._all_records}) > 1:
            raise ValueError(
                "Expected as many channels in every image, but got images of "
                f"{sorted({record.n_channels for record in self._all_records})} channels."
            )
        self._synced_tensors = [torch.stack(rows)] if rows else None
        self._synced = True

    def _joined_buffer(self) -> torch.Tensor:
        buffer = self.get_buffer()
        if buffer is None:
            raise ValueError("There is no image to sum up: call the metric with prediction sets and truths first.")
        if len({record.in_mm for record in self._all_records}) > 1:
            raise ValueError(
                "Expected a voxel size for every image or for none, but some carry one and others do not, so distances "
                "would mix mm and voxels. Give `spacing` in every call, or MetaTensors throughout."
            )
        return buffer

    def _all_images(self) -> list[list[ImageFigures]]:
        """The figures of each class in each image."""
        # The records of all processes are known once the buffer is joined.
        rows = self._joined_buffer().tolist()
        return image_figures(self._all_records, rows)

    def _counted_images(self) -> list[list[ImageFigures]]:
        """The figures of each image in each class, every named image once."""
        images = self._all_images()
        return counted_once(self._all_records, images)
