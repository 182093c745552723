"""The report: one HTML page that needs no network, with what was promised and what was observed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.metrics.summary import (
    ImageFigures,
    class_figures,
    stratum_false_negative_rates,
    unit_false_negative_rates,
)
from monai_rwcp.report.case_maps import ReportCase, ShownCase
from monai_rwcp.report.cautions import is_compared, report_warnings
from monai_rwcp.report.figures.charts import missed_histogram, observed_chart, size_curve, stretch_histogram
from monai_rwcp.report.html.parts import TableCell, chart, number, percent, shown_cases, table
from monai_rwcp.report.html.style import SCRIPT, STYLE
from monai_rwcp.report.tables.intervals import observed_interval
from monai_rwcp.version import __version__

__all__ = ["report_page"]


def report_page(calibration: Calibration, cases: Sequence[ReportCase], shown: Sequence[ShownCase]) -> str:
    """Write the page.

    Args:
        calibration: what the sets were made with.
        cases: labelled cases of patients that were not calibrated on.
        shown: cases whose slices are shown, the worst first.

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
    unit = calibration.unit_name
    n_units = len({case.unit for case in cases})
    parts = [
        "<h1>Prediction sets: promised and observed</h1>",
        f"<p>{len(cases)} images of {n_units} {escape(unit)}s.</p>",
        _warnings(report_warnings(calibration, figures)),
        f'<section class="promise"><h2>The promise</h2>{_paragraphs(calibration.promise.splitlines())}</section>',
        "<h2>By class</h2>",
        _class_table(calibration, figures, images, "mm" if cases[0].in_mm else "voxels"),
        chart(
            observed_chart(calibration, figures),
            "Missed share by class: the observed mean with its 95 % interval, and the promise.",
        ),
        *(_class_charts(calibration, c, images[c], cases, figures[c]) for c in images),
        _where_worst(calibration, shown, cases[0].in_mm),
        f"<h2>By {escape(unit)}</h2>",
        _unit_table(calibration, images),
        "<h2>How it was made</h2>",
        _calibration_table(calibration),
        f"<pre>{escape(json.dumps(dict(calibration.provenance), indent=1))}</pre>",
        f"<p>Calibrated {escape(calibration.created)} with "
        + escape(", ".join(f"{name} {release}" for name, release in calibration.packages.items()))
        + f", on {calibration.n_images} images. Report by monai-rwcp {__version__}.</p>",
        "<p>Research software, not a medical device. The promise is an average over new patients like those of the "
        "calibration, not a promise about one case.</p>",
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
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _warnings(found: Sequence[str]) -> str:
    if not found:
        return "<p>Nothing stands out that must be looked at first.</p>"
    items = "".join(f"<li>{escape(text)}</li>" for text in found)
    return f'<section class="warning"><h2>Look at this first</h2><ul>{items}</ul></section>'


def _class_table(
    calibration: Calibration,
    figures: Mapping[int, Mapping[str, float]],
    images: Mapping[int, Sequence[ImageFigures]],
    length: str,
) -> str:
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
        f"Missed: mean over {calibration.unit_name}s who show the class of the share of its truth that the set misses. "
        "Stretch: size of the set over size of the truth. Pieces: connected components of the set. False alarms: "
        "images without the class that have a set of it."
    )
    return table(about, [*heads, f"{calibration.unit_name}s"], rows)


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
        return f"<h3>{escape(name)}</h3><p>No image here shows it.</p>"
    alpha = calibration.promised.alpha if is_compared(calibration) else None
    charts = [
        chart(
            missed_histogram(rates, alpha, calibration.unit_name),
            f"Missed shares of {calibration.unit_name}s. Line: their mean."
            + ("" if alpha is None else " Dashed: the promise of it."),
        ),
        chart(
            stretch_histogram([image.metrics.stretch for image in images if image.metrics.true]),
            "Stretch of images. Dotted: as large as the truth.",
        ),
    ]
    return f'<h3>{escape(name)}</h3><div class="charts">{"".join(charts)}{_curve(calibration, c, cases, figures)}</div>'


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


def _unit_table(calibration: Calibration, images: Mapping[int, Sequence[ImageFigures]]) -> str:
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


def _calibration_table(calibration: Calibration) -> str:
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
    heads = ["class", f"{calibration.unit_name}s", "lambda_hat", "threshold", "mean loss of them", "allowed"]
    return table(
        f"What was calibrated: alpha = {calibration.promised.alpha:g}, {calibration.promised.method}.", heads, rows
    )
