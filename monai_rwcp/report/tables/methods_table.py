"""The table of a study: what was promised, what was observed, and what the sets are worth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.metrics.prediction_set import SetMetrics
from monai_rwcp.metrics.summary import ImageFigures, class_figures
from monai_rwcp.report.tables.markdown import aligned_table
from monai_rwcp.utils.files import written_whole

__all__ = ["MeasuredSet", "Row", "render_table", "summarise", "write_table"]


@dataclass(frozen=True)
class MeasuredSet:
    """The figures of one set, and whose they are.

    Args:
        method: what made the score.
        unit: the patient.
        class_index: the class.
        metrics: the figures.
    """

    method: str
    unit: str
    class_index: int
    metrics: SetMetrics


@dataclass(frozen=True)
class Row:
    """One line of the table; nan where a figure is not defined.

    Args:
        method: what made the score.
        class_name: the class.
        n_calibration: calibration units that count for the class.
        n_test: test units that show the class.
        working_level: mean loss that the calibration units were allowed.
        promised: highest expected false negative rate.
        observed: mean over test units of their pooled false negative rate.
        observed_error: standard error of that mean.
        stretch: mean size of the set over the size of the truth.
        dice: mean Dice coefficient of set and truth.
        average_surface_distance: mean symmetric surface distance.
        hausdorff_distance_95: mean 95th percentile of the surface distances.
        components: mean number of connected components.
        false_alarms: sets that are not empty among the images without the class.
        without_class: number of these images.
    """

    method: str
    class_name: str
    n_calibration: int
    n_test: int
    working_level: float
    promised: float
    observed: float
    observed_error: float
    stretch: float
    dice: float
    average_surface_distance: float
    hausdorff_distance_95: float
    components: float
    false_alarms: int
    without_class: int


def summarise(measured: Iterable[MeasuredSet], method: str, class_index: int, calibration: Calibration) -> Row:
    """Sum up the sets of one method and class into a row.

    The false negative rate is pooled over the images of a unit (missed over true voxels) and then averaged over the
    units that show the class, as it is promised. All else is averaged over the images that show the class.

    Args:
        measured: figures of all test images; those of other methods and classes are passed over.
        method: which method.
        class_index: which class.
        calibration: the calibration that made the sets.

    Returns:
        the row.

    Example:
        >>> from monai_rwcp.conformal import ClassCalibration, Promise
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)})
        >>> figures = SetMetrics(2, 10, 16, 0.6, 1, 1.0, 2.0)
        >>> summarise([MeasuredSet("plain", "anna", 1, figures)], "plain", 1, calibration).observed
        0.2
    """
    sets = [m for m in measured if m.method == method and m.class_index == class_index]
    figures = class_figures([ImageFigures(m.metrics, m.unit) for m in sets])
    entry = calibration.classes[class_index]
    return Row(
        method=method,
        class_name=calibration.class_name(class_index),
        n_calibration=entry.n,
        n_test=int(figures["n_units"]),
        working_level=math.nan if entry.working_level is None else entry.working_level,
        promised=calibration.promised.alpha,
        observed=figures["fnr"],
        observed_error=figures["fnr_standard_error"],
        stretch=figures["stretch_mean"],
        dice=figures["dice"],
        average_surface_distance=figures["assd"],
        hausdorff_distance_95=figures["hd95"],
        components=figures["components"],
        false_alarms=sum(m.metrics.size > 0 for m in sets if not m.metrics.true),
        without_class=int(figures["n_without_class"]),
    )


def render_table(rows: Sequence[Row], distance_unit: str) -> str:
    """Lay rows out as a markdown table with aligned columns.

    Args:
        rows: what to show.
        distance_unit: unit of the distances: "mm" or "px".

    Returns:
        the text, ending in a line break.
    """
    header = [
        "method",
        "class",
        "n cal.",
        "n test",
        "promised FNR",
        "working level",
        "observed FNR (s.e.)",
        "stretch",
        "Dice",
        f"ASSD ({distance_unit})",
        f"HD95 ({distance_unit})",
        "components",
        "false alarms",
    ]
    lines = []
    for row in rows:
        lines.append(
            [
                row.method,
                row.class_name,
                str(row.n_calibration),
                str(row.n_test),
                _number(row.promised, 3),
                _number(row.working_level, 3),
                f"{_number(row.observed, 3)} ({_number(row.observed_error, 3)})",
                _number(row.stretch, 2),
                _number(row.dice, 3),
                _number(row.average_surface_distance, 2),
                _number(row.hausdorff_distance_95, 1),
                _number(row.components, 1),
                f"{row.false_alarms}/{row.without_class}" if row.without_class else "-",
            ]
        )
    return aligned_table(header, lines)


def write_table(rows: Sequence[Row], path: str | Path, distance_unit: str) -> None:
    """Write rows to a file as a markdown table; it appears whole or not at all.

    Args:
        rows: what to show.
        path: where the table goes, in a folder that exists; a file there is replaced.
        distance_unit: unit of the distances: "mm" or "px".

    Raises:
        OSError: when no file can be written there.
    """
    with written_whole(path) as temporary:
        temporary.write_text(render_table(rows, distance_unit), encoding="utf-8")


def _number(value: float, digits: int) -> str:
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"
