"""Pieces of the report's HTML: tables, figures, slices to scroll through."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.report.case_maps import ShownCase
from monai_rwcp.report.figures.slices import legend_pictures
from monai_rwcp.utils.shown_text import html_text

__all__ = ["TableCell", "chart", "number", "percent", "shown_cases", "table"]


@dataclass(frozen=True)
class TableCell:
    """One cell of a table.

    Args:
        text: what is shown.
        value: what it is sorted by; None sorts by the text.
    """

    text: str
    value: float | None = None


def number(value: float, digits: int) -> TableCell:
    """A cell with a number; a dash where it is not defined.

    Example:
        >>> number(2.345, 1).text, number(float("nan"), 1).text
        ('2.3', '-')
    """
    return TableCell("-", math.nan) if math.isnan(value) else TableCell(f"{value:.{digits}f}", value)


def percent(value: float) -> TableCell:
    """A cell with a share in %; a dash where it is not defined.

    Example:
        >>> percent(0.1234).text
        '12.3 %'
    """
    return TableCell("-", math.nan) if math.isnan(value) else TableCell(f"{100 * value:.1f} %", value)


def table(about: str, heads: Sequence[str], rows: Sequence[Sequence[TableCell]]) -> str:
    """A table that a click on a heading sorts.

    Args:
        about: what it shows, written above.
        heads: of the columns.
        rows: cells, of which the first names the row.
    """
    head = "".join(f'<th scope="col"><button type="button">{html_text(text)}</button></th>' for text in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    # The text stays where it is when a wide table is scrolled.
    return (
        f'<p class="about">{html_text(about)}</p>'
        f'<div class="wide" tabindex="0" role="region" aria-label="{html_text(about)}"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def chart(svg: str, described: str) -> str:
    """A chart with what it shows below."""
    # The text says to a screen reader what the lines cannot.
    drawn = svg.replace("<svg", '<svg aria-hidden="true"', 1)
    return f"<figure>{drawn}<figcaption>{html_text(described)}</figcaption></figure>"


def shown_cases(cases: Sequence[ShownCase], calibration: Calibration) -> str:
    """The legend, and for each case its slices with a slider."""
    marks = {
        "truth": "the truth",
        "set": "the prediction set",
        "missed": "truth that the set misses",
        "inner": "the inner set",
        "band": "the band between inner set and prediction set",
    }
    if not any(case.has_inner for case in cases):
        marks = {name: text for name, text in marks.items() if name not in ("inner", "band")}
    pictures = legend_pictures()
    legend = "".join(f"<li>{_picture(pictures[name], '')} {text}</li>" for name, text in marks.items())
    return f'<ul class="legend">{legend}</ul><div class="cases">{"".join(_slices(c, calibration) for c in cases)}</div>'


def _slices(case: ShownCase, calibration: Calibration) -> str:
    what = f"{case.name}, {calibration.class_name(case.class_index)}"
    frames = "".join(
        _picture(png, f"{what}, slice {z}", f' data-slice="{z}"' + (' class="now"' if i == case.start else ""))
        for i, (z, png) in enumerate(case.slices)
    )
    first, last = case.slices[0][0], case.slices[-1][0]
    slider = (
        f'<input type="range" min="0" max="{len(case.slices) - 1}" value="{case.start}" '
        f'aria-label="{html_text(what)}, slice">'
    )
    return (
        f'<figure class="slices"><figcaption>{html_text(what)}: {percent(case.missed).text} missed</figcaption>{frames}'
        f"<div>{slider if last > first else ''} slice <output>{case.slices[case.start][0]}</output>"
        f"{f' of {first} to {last}' if last > first else ''}</div></figure>"
    )


def _picture(png: bytes, described: str, attributes: str = "") -> str:
    return (
        f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{html_text(described)}"{attributes}>'
    )


def _cell(cell: TableCell) -> str:
    value = "" if cell.value is None else f' data-value="{"" if math.isnan(cell.value) else repr(float(cell.value))}"'
    return f"<td{value}>{html_text(cell.text)}</td>"
