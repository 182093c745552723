"""A calibration as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence

from monai_rwcp.conformal.promises.class_calibration import ClassCalibration
from monai_rwcp.utils.shown_text import html_text

__all__ = ["calibration_html"]


def calibration_html(promise: str, unit_name: str, classes: Sequence[tuple[str, ClassCalibration]]) -> str:
    """The promise and a row for each class, without scripts or links.

    Args:
        promise: the promise in plain words.
        unit_name: what a unit is.
        classes: name of each class, and what was calibrated for it.
    """
    heads = ("class", f"{unit_name}s", "threshold", "mean loss of them", "working level")
    rows = [f"<tr>{''.join(f'<th>{html_text(head)}</th>' for head in heads)}</tr>"]
    for name, entry in classes:
        level = "-" if entry.working_level is None else f"{entry.working_level:.4f}"
        cells = (
            name,
            str(entry.n),
            f"{entry.threshold:.4f}",
            f"{entry.empirical_risk:.4f}",
            level,
        )
        rows.append(f"<tr>{''.join(f'<td>{html_text(cell)}</td>' for cell in cells)}</tr>")
    lines = "<br>".join(html_text(line) for line in promise.splitlines())
    return f"<p>{lines}</p><table>{''.join(rows)}</table>"
