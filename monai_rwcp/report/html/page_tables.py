"""The tables of the report: by class, by unit, and what was calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.metrics.summary import ImageFigures, stratum_false_negative_rates, unit_false_negative_rates
from monai_rwcp.report.cautions import is_compared
from monai_rwcp.report.html.parts import TableCell, number, percent, table
from monai_rwcp.report.intervals import observed_interval

__all__ = ["calibration_table", "class_table", "unit_table"]


def class_table(
    calibration: Calibration,
    figures: Mapping[int, Mapping[str, float]],
    images: Mapping[int, Sequence[ImageFigures]],
    length: str,
) -> str:
    """What was promised and observed of each class, a row a class.

    Args:
        calibration: what the sets were made with.
        figures: of each class, see :py:func:`monai_rwcp.metrics.class_figures`.
        images: the figures of each image, by class.
        length: unit of the distances.
    """
    strata = {c: stratum_false_negative_rates(of_class) for c, of_class in images.items()}
    heads = ["class", "promised", "missed", "95 % interval", *(["worst stratum"] if any(strata.values()) else [])]
    heads += ["stretch (median)", "Dice", f"ASSD ({length})", f"HD95 ({length})", "pieces", "false alarms"]
    rows = []
    for c, of_class in figures.items():
        low, high = observed_interval(of_class)
        interval = "-" if np.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f} %"
        row = [
            TableCell(calibration.class_name(c)),
            TableCell(
                f"{100 * calibration.promised.alpha:g} %" if is_compared(calibration) else "see above",
                calibration.promised.alpha,
            ),
            percent(of_class["fnr"]),
            TableCell(interval, low),
        ]
        if any(strata.values()):
            known = {name: rate for name, rate in strata[c].items() if not np.isnan(rate)}
            worst = max(known, key=lambda name: known[name], default=None)
            row.append(
                TableCell("-", np.nan)
                if worst is None
                else TableCell(f"{worst}: {percent(known[worst]).text}", known[worst])
            )
        row += [number(of_class["stretch_median"], 2), number(of_class["dice"], 3)]
        row += [number(of_class[name], 1) for name in ("assd", "hd95", "components")]
        n_without = int(of_class["n_without_class"])
        alarms = of_class["false_alarm_rate"]
        row.append(
            TableCell(f"{round(alarms * n_without)} of {n_without}", alarms) if n_without else TableCell("-", np.nan)
        )
        row.append(TableCell(f"{of_class['n_units']:.0f}", of_class["n_units"]))
        rows.append(row)
    about = (
        f"Missed: the share of the truth that the set misses, mean over {calibration.unit_name}s who show the class. "
        "Stretch: size of the set over size of the truth. Pieces: connected components of the set. False alarms: "
        "images without the class that have a set of it."
    )
    return table(about, [*heads, f"{calibration.unit_name}s"], rows)


def unit_table(calibration: Calibration, images: Mapping[int, Sequence[ImageFigures]]) -> str:
    """What the sets of each unit miss, and how large they are, a row a unit.

    Args:
        calibration: what the sets were made with.
        images: the figures of each image, by class.
    """
    of_unit: dict[str, dict[int, list[ImageFigures]]] = {}
    for c, of_class in images.items():
        for image in of_class:
            of_unit.setdefault(str(image.unit), {}).setdefault(c, []).append(image)
    rows = []
    for unit in sorted(of_unit):
        row = [TableCell(unit), number(len(next(iter(of_unit[unit].values()))), 0)]
        for c in images:
            showing = [image for image in of_unit[unit][c] if image.metrics.true]
            true = sum(image.metrics.true for image in showing)
            row.append(percent(unit_false_negative_rates(showing).get(unit, np.nan)))
            row.append(number(sum(image.metrics.size for image in showing) / true if true else np.nan, 2))
        rows.append(row)
    heads = [f"{calibration.class_name(c)}: {what}" for c in images for what in ("missed", "stretch")]
    about = "Missed share and stretch over all images that show the class. A click on a heading sorts."
    return table(about, [calibration.unit_name, "images", *heads], rows)


def calibration_table(calibration: Calibration) -> str:
    """The thresholds of a calibration, a row for each class and group."""
    entries = [("", c, entry) for c, entry in calibration.classes.items()]
    for group, classes in (calibration.groups or {}).items():
        entries += [(f", {group}", c, entry) for c, entry in classes.items()]
    rows = [
        [
            TableCell(calibration.class_name(c) + of_group),
            TableCell(str(entry.n), entry.n),
            TableCell(f"{entry.lambda_hat:.7g}", entry.lambda_hat),
            TableCell(f"{entry.threshold:.4g}", entry.threshold),
            number(entry.empirical_risk, 4),
            number(np.nan if entry.working_level is None else entry.working_level, 4),
        ]
        for of_group, c, entry in entries
    ]
    heads = ["class", f"{calibration.unit_name}s", "lambda_hat", "threshold", "mean loss of them", "working level"]
    return table(
        f"What was calibrated: alpha = {calibration.promised.alpha:g}, {calibration.promised.method}.", heads, rows
    )
