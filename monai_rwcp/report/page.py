"""The report: one HTML page that needs no network, with what was promised and what was observed."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from monai_rwcp.conformal import Calibration
from monai_rwcp.metrics import ImageFigures, SetMetrics, class_figures, unit_false_negative_rates
from monai_rwcp.report.charts import histograms, observed_chart
from monai_rwcp.report.page_style import SCRIPT, STYLE

__all__ = ["ReportCase", "ShownCase", "report_page"]


@dataclass(frozen=True)
class ReportCase:
    """The sets of one case.

    Args:
        name: of the case.
        unit: the patient.
        figures: of the set of each class, by channel.
    """

    name: str
    unit: str
    figures: Mapping[int, SetMetrics]


@dataclass(frozen=True)
class ShownCase:
    """A case whose slices are shown.

    Args:
        heading: case and class, and why it is shown.
        slices: number and PNG of each.
        start: which of them is shown first.
    """

    heading: str
    slices: Sequence[tuple[int, bytes]]
    start: int


def report_page(calibration: Calibration, cases: Sequence[ReportCase], shown: Sequence[ShownCase], unit: str) -> str:
    """Write the page.

    Args:
        calibration: what the sets were made with.
        cases: labelled cases of patients that were not calibrated on.
        shown: cases whose slices are shown, the worst first.
        unit: of length, ``"mm"`` or ``"px"``.

    Returns:
        HTML, self-contained: pictures are inside, and nothing is fetched.

    Raises:
        ValueError: when there is no case.
        ImportError: when matplotlib is missing.
    """
    if not cases:
        raise ValueError("There is no case to report.")
    by_class = {c: [ImageFigures(case.figures[c], case.unit) for case in cases] for c in calibration.classes}
    figures = {c: class_figures(of_class, calibration.alpha) for c, of_class in by_class.items()}
    promise = "".join(f"<p>{escape(line)}</p>" for line in calibration.promise.splitlines())
    parts = [
        "<h1>Prediction sets: promised and observed</h1>",
        _warnings(calibration, figures),
        f'<section class="promise"><h2>The promise</h2>{promise}</section>',
        "<h2>By class</h2>",
        _class_table(calibration, figures, unit),
        _chart(
            observed_chart(calibration, figures),
            "Observed false negative rate by class, with its 95 % interval, and the promised rate",
        ),
        _chart(histograms(calibration, by_class), "Histograms of missed share and of stretch by class"),
        "<h2>Where it is worst</h2>" + _shown_cases(shown) if shown else "",
        "<h2>By patient</h2><p>Missed share of each patient. A heading sorts the table.</p>",
        _patient_table(calibration, by_class),
        "<h2>How it was made</h2>",
        f"<pre>{escape(json.dumps(dict(calibration.provenance), indent=1))}</pre>",
        f"<p>Calibrated {escape(calibration.created)} with "
        + escape(", ".join(f"{name} {number}" for name, number in calibration.packages.items()))
        + f", on {calibration.n_images} images.</p>",
        "<p>Research software, not a medical device. The promise is an average over new patients like those of the "
        "calibration, not a promise about one case.</p>",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Prediction sets</title>'
        f"<style>{STYLE}</style></head><body>\n{body}\n<script>{SCRIPT}</script></body></html>\n"
    )


def _warnings(calibration: Calibration, figures: Mapping[int, Mapping[str, float]]) -> str:
    found = []
    for c, of_class in figures.items():
        name = calibration.class_name(c)
        rate, error, n = of_class["fnr"], of_class["fnr_standard_error"], int(of_class["n_units"])
        if calibration.classes[c].threshold <= 0:
            found.append(f"The sets of {name} are the whole image: too few patients, or scores of no use.")
        if n < 10:
            found.append(f"Only {n} patients here show {name}: its figures say little.")
        elif rate - 2 * error > calibration.alpha:
            found.append(
                f"Of {name} {rate:.1%} is missed, more than the promised {calibration.alpha:.1%} by over two standard "
                "errors: these patients are not like the calibration's, or their scores were made another way."
            )
        if of_class["false_alarm_rate"] > 0.5:
            found.append(
                f"{of_class['false_alarm_rate']:.0%} of the images without {name} have a set of it: nothing is "
                "promised there."
            )
    items = "".join(f"<li>{escape(text)}</li>" for text in found)
    return f'<section class="warning"><h2>Look at this first</h2><ul>{items}</ul></section>' if found else ""


_COLUMNS = {
    "observed": "fnr",
    "s.e.": "fnr_standard_error",
    "stretch (median)": "stretch_median",
    "Dice": "dice",
    "ASSD": "assd",
    "HD95": "hd95",
    "components": "components",
    "false alarms": "false_alarm_rate",
    "patients": "n_units",
}


def _class_table(calibration: Calibration, figures: Mapping[int, Mapping[str, float]], unit: str) -> str:
    heads = ["class", "promised", *(f"{n} ({unit})" if n in ("ASSD", "HD95") else n for n in _COLUMNS)]
    rows = [
        [calibration.class_name(c), f"{calibration.alpha:g}", *(_number(of_class[name]) for name in _COLUMNS.values())]
        for c, of_class in figures.items()
    ]
    return _table(heads, rows)


def _patient_table(calibration: Calibration, by_class: Mapping[int, Sequence[ImageFigures]]) -> str:
    rates = {c: unit_false_negative_rates(of_class) for c, of_class in by_class.items()}
    patients = sorted({str(image.unit) for of_class in by_class.values() for image in of_class})
    rows = [[patient, *(_number(rates[c].get(patient, float("nan"))) for c in rates)] for patient in patients]
    return _table(["patient", *(calibration.class_name(c) for c in rates)], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th><button type="button">{escape(text)}</button></th>' for text in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}".rstrip("0").rstrip(".")


def _shown_cases(shown: Sequence[ShownCase]) -> str:
    parts = [
        "<p>Solid green: the truth. Dashed orange: the prediction set. Red: what the set misses. Chosen by the largest "
        "missed share.</p>"
    ]
    for case in shown:
        frames = "".join(
            f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="slice {z}" data-slice="{z}">'
            for z, png in case.slices
        )
        parts.append(
            f'<figure class="slices"><figcaption>{escape(case.heading)}</figcaption>{frames}'
            f'<label>slice <input type="range" min="0" max="{len(case.slices) - 1}" '
            f'value="{case.start}"> <output></output></label></figure>'
        )
    return f'<div class="cases">{"".join(parts)}</div>'


def _chart(svg: str, described: str) -> str:
    told = escape(described)
    return f'<figure role="img" aria-label="{told}">{svg}<figcaption>{told}.</figcaption></figure>'
