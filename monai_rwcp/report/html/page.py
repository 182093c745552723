"""The report: one HTML page that needs no network, with what was promised and what was observed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.metrics.summary import ImageFigures, class_figures, unit_false_negative_rates
from monai_rwcp.report.case_maps import ReportCase, ShownCase
from monai_rwcp.report.cautions import is_compared, other_units, report_warnings
from monai_rwcp.report.figures.charts import missed_histogram, observed_chart, size_curve, stretch_histogram
from monai_rwcp.report.html.page_tables import calibration_table, class_table, unit_table
from monai_rwcp.report.html.parts import chart, shown_cases
from monai_rwcp.report.html.style import SCRIPT, STYLE
from monai_rwcp.utils.shown_text import html_text
from monai_rwcp.version import __version__

__all__ = ["report_page"]


def report_page(
    calibration: Calibration,
    cases: Sequence[ReportCase],
    shown: Sequence[ShownCase],
    *,
    unit_name: str | None = None,
) -> str:
    """Write the page.

    Args:
        calibration: what the sets were made with.
        cases: labelled cases of patients that were not calibrated on.
        shown: cases whose slices are shown, the worst first.
        unit_name: what a unit of these cases is; None for what it was at calibration.

    Returns:
        HTML, self-contained: pictures are inside, and the page itself forbids that anything is fetched.

    Raises:
        ValueError: when there is no case, or some have a voxel size and others none.
        ImportError: when matplotlib or scipy is missing.
    """
    if not cases:
        raise ValueError("There is no case to report.")
    if len({case.in_mm for case in cases}) > 1:
        raise ValueError(
            "Expected a voxel size for every case or for none, but some carry one and others do not, so distances "
            "would mix mm and voxels. Load all sets or labels as MetaTensor."
        )
    images = {
        c: [ImageFigures(case.figures[c], case.unit, case.stratum) for case in cases] for c in calibration.classes
    }
    figures = {c: class_figures(of_class, calibration.promised.alpha) for c, of_class in images.items()}
    unit = unit_name or calibration.unit_name
    observed = replace(calibration, unit_name=unit)
    n_units = len({case.unit for case in cases})
    parts = [
        "<h1>Prediction sets: promised and observed</h1>",
        f"<p>{len(cases)} images of {n_units} {html_text(unit)}s.</p>",
        _warnings([*other_units(calibration, unit), *report_warnings(observed, figures)]),
        f'<section class="promise"><h2>The promise</h2>{_paragraphs(calibration.promise.splitlines())}</section>',
        "<h2>By class</h2>",
        class_table(observed, figures, images, "mm" if cases[0].in_mm else "voxels"),
        chart(
            observed_chart(calibration, figures),
            "Missed share by class: the observed mean with its 95 % interval, and the promise.",
        ),
        *(_class_charts(observed, c, images[c], cases, figures[c]) for c in images),
        _where_worst(calibration, shown, cases[0].in_mm),
        f"<h2>By {html_text(unit)}</h2>",
        unit_table(observed, images),
        "<h2>How it was made</h2>",
        calibration_table(calibration),
        f"<pre>{_lines(json.dumps(calibration.provenance.to_json(), indent=1))}</pre>",
        f"<p>Calibrated {html_text(calibration.created)} with "
        + html_text(", ".join(f"{name} {release}" for name, release in calibration.packages.items()))
        + f", on {calibration.n_images} images. Report by monai-rwcp {__version__}.</p>",
        f"<p>Research software, not a medical device. The promise is about new {html_text(calibration.unit_name)}s as "
        "a whole, where they are like those of the calibration, and not about any single one.</p>",
    ]
    # Even a page that someone has changed may fetch nothing, and run no other script than this one.
    script = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>Prediction sets</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(part for part in parts if part)
        + f"\n<script>{SCRIPT}</script></body></html>\n"
    )


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{html_text(line)}</p>" for line in lines)


def _lines(text: str) -> str:
    return "\n".join(map(html_text, text.split("\n")))


def _warnings(found: Sequence[str]) -> str:
    if not found:
        return "<p>Nothing stands out that must be looked at first.</p>"
    items = "".join(f"<li>{html_text(text)}</li>" for text in found)
    return f'<section class="warning"><h2>Look at this first</h2><ul>{items}</ul></section>'


def _class_charts(
    calibration: Calibration,
    c: int,
    images: Sequence[ImageFigures],
    cases: Sequence[ReportCase],
    figures: Mapping[str, float],
) -> str:
    rates = list(unit_false_negative_rates(images).values())
    name = calibration.class_name(c)
    if not rates:
        return f"<h3>{html_text(name)}</h3><p>No image here shows it.</p>"
    alpha = calibration.promised.alpha if is_compared(calibration) else None
    charts = [
        chart(
            missed_histogram(rates, alpha, calibration.unit_name),
            f"Missed shares of {calibration.unit_name}s. Line: their mean."
            + ("" if alpha is None else " Dashed: what is promised."),
        ),
        chart(
            stretch_histogram([image.metrics.stretch for image in images if image.metrics.true]),
            "Stretch of images. Dotted: as large as the truth.",
        ),
    ]
    return (
        f'<h3>{html_text(name)}</h3><div class="charts">{"".join(charts)}{_curve(calibration, c, cases, figures)}</div>'
    )


def _curve(calibration: Calibration, c: int, cases: Sequence[ReportCase], figures: Mapping[str, float]) -> str:
    showing = [case for case in cases if case.figures[c].true]
    stretches = [np.array(case.sizes[c]) / case.figures[c].true for case in showing if case.sizes is not None]
    if not stretches:
        return (
            "<p>Set size against lambda is left out, because the scores are not known here: ReportHandler takes them "
            "from its score_key, and monai-rwcp report from the run.json that monai-rwcp predict leaves beside the "
            "sets.</p>"
        )
    described = "Stretch against lambda. Line: mean; grey: quartiles; dotted: as large as the truth."
    single = calibration.groups is None and calibration.weighted is None
    threshold = calibration.classes[c].threshold if single else None
    if threshold is not None and 0 < threshold < 1:
        described += f" Dashed: lambda_hat = {1 - threshold:.6g}; diamond: the observed mean."
    if len(stretches) < len(showing):
        described += f" Of {len(stretches)} of {len(showing)} images."
    return chart(size_curve(np.array(stretches), threshold, figures["stretch_mean"]), described)


def _where_worst(calibration: Calibration, shown: Sequence[ShownCase], turned: bool) -> str:
    if not shown:
        return ""
    way = " Volumes: the right side is on the left, the front up; slices count from 0 upwards." if turned else ""
    return (
        f"<h2>Where it is worst</h2><p>The {len(shown)} largest missed shares of an image, each at the slice where "
        f"most is missed; the sliders show the others.{way}</p>{shown_cases(shown, calibration)}"
    )
