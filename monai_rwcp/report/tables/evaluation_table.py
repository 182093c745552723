"""What was observed of the sets of labelled patients, as a markdown table."""

from __future__ import annotations

import math
from collections.abc import Mapping

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.report.cautions import is_compared
from monai_rwcp.utils.shown_text import markdown_text

__all__ = ["evaluation_table"]


def evaluation_table(figures: Mapping[str, float], calibration: Calibration) -> str:
    """Write the figures of measured sets as a markdown table, a row for each class.

    Args:
        figures: by name and channel, such as ``pred_set_fnr_1``, as `PredictionSetMetricsHandler` publishes them.
        calibration: what the sets were made with.

    Raises:
        ValueError: when a class of the calibration lacks figures.
    """
    names = {
        "observed FNR": "fnr",
        "s.e.": "fnr_standard_error",
        "stretch (median)": "stretch_median",
        "Dice": "dice",
        "ASSD (mm)": "assd",
        "HD95 (mm)": "hd95",
        "false alarms": "false_alarm_rate",
        "units": "n_units",
    }
    lines = ["| " + " | ".join(("class", "promised FNR", *names)) + " |", "|" + "---|" * (2 + len(names))]
    compared = is_compared(calibration)
    promised = f"{calibration.promised.alpha:g}" if compared else "-"
    for c in calibration.classes:
        missing = [name for name in names.values() if f"pred_set_{name}_{c}" not in figures]
        if missing:
            raise ValueError(
                f"Expected figures of {calibration.class_name(c)}, but there is no {missing[0]}: they are of another "
                "calibration, or not what `monai-rwcp evaluate --out` wrote."
            )
        values = (figures[f"pred_set_{name}_{c}"] for name in names.values())
        cells = ["-" if math.isnan(value) else f"{value:.4g}" for value in values]
        lines.append(f"| {markdown_text(calibration.class_name(c))} | {promised} | {' | '.join(cells)} |")
    if not compared:
        lines += ["", f"What is promised is not this rate, but: {markdown_text(calibration.promise.splitlines()[0])}"]
    return "\n".join(lines) + "\n"
