"""The figures of measured sets as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping

from monai_rwcp.conformal import Calibration

__all__ = ["figures_table"]


def figures_table(figures: Mapping[str, float], calibration: Calibration) -> str:
    """Write the figures of measured sets as a markdown table, a row for each class.

    Args:
        figures: by name and channel, such as ``pred_set_fnr_1``, as `PredictionSetMetricsHandler` publishes them.
        calibration: what the sets were made with.

    Raises:
        KeyError: when a class of the calibration has no figures.
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
    for c in calibration.classes:
        values = (figures[f"pred_set_{name}_{c}"] for name in names.values())
        cells = ["-" if math.isnan(value) else f"{value:.4g}" for value in values]
        lines.append(f"| {calibration.class_name(c)} | {calibration.alpha:g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
