"""Summing up the figures of one class over images: by unit, by stratum, and over all."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from monai_rwcp.metrics.prediction_set import SetMetrics, pooled_false_negative_rate
from monai_rwcp.metrics.structure_sizes import smallest_third

__all__ = ["ImageFigures", "class_figures", "stratum_false_negative_rates", "unit_false_negative_rates"]


@dataclass(frozen=True)
class ImageFigures:
    """The figures of one class in one image, and whose image it is.

    Args:
        metrics: the figures.
        unit: the exchangeable unit, such as the patient; images of equal units are pooled.
        stratum: group within which the rate is looked at, such as "scanner A"; None stands for no group.
        size_ml: size of the set in millilitres; nan where the size of a voxel is not known.
        true_ml: size of the truth likewise.
    """

    metrics: SetMetrics
    unit: Hashable
    stratum: str | None = None
    size_ml: float = math.nan
    true_ml: float = math.nan

    def named(self) -> dict[str, float]:
        """The figures of this image by their short names; nan where a figure is not defined.

        ``fnr`` (false negative rate), ``stretch``, ``size_ml``, ``components``, ``dice``, ``assd``
        (average symmetric surface distance), ``hd95`` (95th percentile of the Hausdorff distance), each as in
        :py:class:`SetMetrics`, and ``false_alarm``: in an image without the class 1 when the set is not empty and 0
        when it is; nan in an image that shows the class.

        Example:
            >>> ImageFigures(SetMetrics(2, 10, 16, 0.6, 1, 1.0, 2.0), "anna").named()["stretch"]
            1.6
        """
        return {
            "fnr": self.metrics.false_negative_rate,
            "stretch": self.metrics.stretch,
            "size_ml": self.size_ml,
            "components": float(self.metrics.components),
            "dice": self.metrics.dice,
            "assd": self.metrics.average_surface_distance,
            "hd95": self.metrics.hausdorff_distance_95,
            "false_alarm": math.nan if self.metrics.true else float(self.metrics.size > 0),
        }


def unit_false_negative_rates(images: Iterable[ImageFigures]) -> dict[Hashable, float]:
    """Pool the false negative rate of each unit over its images, as the calibration does.

    Args:
        images: figures of one class.

    Returns:
        the rate in [0, 1] of every unit that shows the class, see
        :py:func:`monai_rwcp.metrics.pooled_false_negative_rate`.

    Example:
        >>> slices = [SetMetrics(10, 20, 30, 0.4, 1, 1.0, 2.0), SetMetrics(0, 80, 90, 0.9, 1, 1.0, 2.0)]
        >>> unit_false_negative_rates(ImageFigures(figures, "anna") for figures in slices)
        {'anna': 0.1}
    """
    shown: dict[Hashable, list[SetMetrics]] = {}
    for image in images:
        if image.metrics.true:
            shown.setdefault(image.unit, []).append(image.metrics)
    return {
        unit: pooled_false_negative_rate([m.missed for m in figures], [m.true for m in figures])
        for unit, figures in shown.items()
    }


def stratum_false_negative_rates(images: Sequence[ImageFigures]) -> dict[str, float]:
    r"""Average the pooled false negative rates within each stratum.

    .. math:: R_g = \frac{1}{|U_g|} \sum_{i \in U_g} \mathrm{FNR}_i

    over the units :math:`U_g` that show the class in images of stratum :math:`g`. A unit with images in several strata
    is pooled in each of them over the images there.

    Args:
        images: figures of one class; those without a stratum are passed over.

    Returns:
        the rate in [0, 1] of each stratum in the order of their names; nan where no image of it shows the class.

    Example:
        >>> figures = SetMetrics(2, 10, 16, 0.6, 1, 1.0, 2.0)
        >>> stratum_false_negative_rates([ImageFigures(figures, "anna", "scanner A")])
        {'scanner A': 0.2}
    """
    groups: dict[str, list[ImageFigures]] = {}
    for image in images:
        if image.stratum is not None:
            groups.setdefault(image.stratum, []).append(image)
    return {name: _mean(unit_false_negative_rates(groups[name]).values()) for name in sorted(groups)}


def class_figures(images: Sequence[ImageFigures], alpha: float | None = None) -> dict[str, float]:
    r"""Sum up the figures of one class over all images; nan where a figure is not defined.

    .. math:: \mathrm{gap} = \frac{1}{n} \sum_{i=1}^{n} |\mathrm{coverage}_i - (1 - \alpha)|, \qquad
        \mathrm{coverage}_i = 1 - \mathrm{FNR}_i

    The false negative rate is pooled over the images of a unit (missed over true voxels) and then averaged over the
    units that show the class, as it is promised; the coverage gap runs over the same units. Stretch, size, components
    and Dice are taken over the images that show the class, an empty set counting as stretch, size and Dice 0. The
    distances are defined only where set and truth are both not empty, and are averaged over these images. The size in
    ml is nan where that of one of the images is not known.

    Args:
        images: figures of one class in each image.
        alpha: highest expected false negative rate that was promised, in (0, 1); None gives no coverage gap.

    Returns:
        ``fnr``, its standard error ``fnr_standard_error``, ``coverage``, with ``alpha`` the ``coverage_gap``, with
        strata the ``worst_stratum_fnr`` (the largest of :py:func:`stratum_false_negative_rates`), ``stretch_median``,
        ``stretch_iqr`` (upper less lower quartile, interpolated linearly), ``stretch_mean``, ``size_ml``,
        ``components``, ``dice``, ``assd``, ``hd95`` (means), ``fnr_smallest_third`` (mean false negative rate of the
        images in which the class is smallest, see :py:func:`smallest_third`; by ml where known, else by voxels),
        ``empty`` (share of the images that show the class whose set is empty), ``false_alarm_rate`` (share of the
        images without the class whose set is not empty), ``n_units`` (units that show the class) and
        ``n_without_class`` (images that do not).

    Source: coverage gap per case as in the COAT and CRA (arXiv 2504.07611) evaluations.

    Example:
        >>> figures = [SetMetrics(0, 10, 16, 0.6, 1, 1.0, 2.0), SetMetrics(2, 10, 12, 0.7, 1, 1.0, 2.0)]
        >>> found = class_figures([ImageFigures(figures[0], "anna"), ImageFigures(figures[1], "ben")], alpha=0.1)
        >>> round(found["coverage"], 4), round(found["coverage_gap"], 4), round(found["stretch_median"], 4)
        (0.9, 0.1, 1.4)
    """
    rates = list(unit_false_negative_rates(images).values())
    shown = [image.named() for image in images if image.metrics.true]
    absent = [image.named() for image in images if not image.metrics.true]
    strata = stratum_false_negative_rates(images)
    stretches = [figures["stretch"] for figures in shown]
    lower, middle, upper = np.quantile(stretches, [0.25, 0.5, 0.75]).tolist() if stretches else [math.nan] * 3
    result = {
        "fnr": _mean(rates),
        "fnr_standard_error": stdev(rates) / math.sqrt(len(rates)) if len(rates) > 1 else math.nan,
        "coverage": 1 - _mean(rates),
    }
    if alpha is not None:
        result["coverage_gap"] = _mean(abs((1 - rate) - (1 - alpha)) for rate in rates)
    if strata:
        result["worst_stratum_fnr"] = max((r for r in strata.values() if not math.isnan(r)), default=math.nan)
    result |= {
        "stretch_median": middle,
        "stretch_iqr": upper - lower,
        "stretch_mean": _mean(stretches),
    }
    result |= {name: _mean(figures[name] for figures in shown) for name in ("components", "dice", "assd", "hd95")}
    # A mean over the volumes among slices would be that of other images.
    result["size_ml"] = fmean(figures["size_ml"] for figures in shown) if shown else math.nan
    return result | {
        "fnr_smallest_third": _mean(image.metrics.false_negative_rate for image in _smallest(images)),
        "empty": _mean(float(image.metrics.size == 0) for image in images if image.metrics.true),
        "false_alarm_rate": _mean(figures["false_alarm"] for figures in absent),
        "n_units": float(len(rates)),
        "n_without_class": float(len(absent)),
    }


def _smallest(images: Sequence[ImageFigures]) -> list[ImageFigures]:
    in_ml = not any(math.isnan(image.true_ml) for image in images)
    small = smallest_third([image.true_ml if in_ml else image.metrics.true for image in images])
    return [image for image, is_small in zip(images, small, strict=True) if is_small]


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan
