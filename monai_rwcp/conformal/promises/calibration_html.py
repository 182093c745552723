"""A calibration as HTML, for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_rwcp.conformal.promises.calibration import Calibration

__all__ = ["calibration_html"]


def calibration_html(calibration: Calibration) -> str:
    """The promise and a row for each class, without scripts or links.

    Args:
        calibration: what is shown.
    """
    heads = ("class", f"{calibration.unit_name}s", "threshold", "mean loss", "allowed")
    rows = [f"<tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>"]
    for c, entry in calibration.classes.items():
        level = "-" if entry.working_level is None else f"{entry.working_level:.4f}"
        cells = (
            calibration.class_name(c),
            str(entry.n),
            f"{entry.threshold:.4f}",
            f"{entry.empirical_risk:.4f}",
            level,
        )
        rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    promise = "<br>".join(escape(line) for line in calibration.promise.splitlines())
    return f"<p>{promise}</p><table>{''.join(rows)}</table>"
