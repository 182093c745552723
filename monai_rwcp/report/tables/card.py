"""A card of a calibration: promise, patients, settings, observed figures, limits, and how to make it anew."""

from __future__ import annotations

import json
from collections.abc import Mapping

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.provenance.guard import guard_in_words
from monai_rwcp.report.cautions import is_compared
from monai_rwcp.report.tables.evaluation_table import evaluation_table
from monai_rwcp.utils.shown_text import markdown_text

__all__ = ["calibration_card"]

_NOT_STATED = "*Not stated. Say here who the patients were: hospital, scanner, protocol, years, age, disease.*"


def calibration_card(
    calibration: Calibration,
    *,
    population: str | None = None,
    known_failures: str | None = None,
    figures: Mapping[str, float] | None = None,
) -> str:
    """Describe a calibration for those who will use its prediction sets.

    Args:
        calibration: what is described.
        population: who the calibration patients were; None leaves a gap that says so.
        known_failures: where the sets are known to fail; None leaves it out.
        figures: of patients that were not calibrated on, as `monai-rwcp evaluate` writes them; None says that there
            are none.

    Returns:
        markdown; what has to be looked at first stands first.

    Raises:
        ValueError: when the figures lack a class of the calibration.

    Example:
        >>> from monai_rwcp.conformal import ClassCalibration, Promise
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30,
        ...     class_names=("background", "heart"),
        ...     classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)})
        >>> print(calibration_card(calibration).splitlines()[0])
        # Calibration card: heart
    """
    unit = markdown_text(calibration.unit_name)
    packages = ", ".join(f"{name} {number}" for name, number in calibration.packages.items())
    names = ", ".join(calibration.class_name(c) for c in calibration.classes)
    lines = [f"# Calibration card: {markdown_text(names)}", ""]
    warnings = _warnings(calibration, figures)
    if warnings:
        lines += ["## Look at this first", "", *(f"- {markdown_text(warning)}" for warning in warnings), ""]
    lines += ["## Promise", "", *(f"> {markdown_text(line)}" for line in calibration.promise.splitlines()), ""]
    lines += ["## Patients", "", population or _NOT_STATED, ""]
    lines += [
        f"{calibration.n_images} images; what counts as one is the {unit}.",
        "",
        f"| class | {unit}s | threshold | mean loss of them | working level |",
        "|---|---|---|---|---|",
    ]
    for c, entry in calibration.classes.items():
        level = "-" if entry.working_level is None else f"{entry.working_level:.4f}"
        cells = (
            markdown_text(calibration.class_name(c)),
            str(entry.n),
            f"{entry.threshold:.4f}",
            f"{entry.empirical_risk:.4f}",
            level,
        )
        lines.append(f"| {' | '.join(cells)} |")
    for group, of_group in (calibration.groups or {}).items():
        shown = ", ".join(f"{calibration.class_name(c)} {e.threshold:.4f} (n = {e.n})" for c, e in of_group.items())
        lines += ["", markdown_text(f"Group {group}: {shown}.")]
    lines += ["", markdown_text(f"## Observed on other {calibration.unit_name}s"), ""]
    if figures is None:
        lines += ["*Not evaluated. `monai-rwcp evaluate` measures the sets of labelled patients of your own.*", ""]
    else:
        lines += [evaluation_table(figures, calibration)]
    lines += ["## What it does not say", "", *(f"- {markdown_text(limit)}" for limit in _limits(calibration)), ""]
    if known_failures:
        lines += ["## Known failures", "", known_failures, ""]
    lines += [
        "## How the scores were made",
        "",
        "```json",
        json.dumps(calibration.provenance.to_json(), indent=1),
        "```",
        "",
    ]
    lines += [
        "Scores that were made another way are refused by `ConformalThresholdd`, as far as this record tells.",
        "",
        "## How to make it anew",
        "",
        "With new network weights, another scanner or protocol, other preprocessing or settings: run the same chain "
        "over labelled patients that neither trained nor tuned, with `ConformalCalibrationHandler`, or `monai-rwcp "
        f"calibrate` on a folder of maps. Every {markdown_text(calibration.unit_name)} counts once.",
        "",
        "## Made with",
        "",
        markdown_text(f"{calibration.created}; {packages}"),
        "",
    ]
    return "\n".join(lines)


def _warnings(calibration: Calibration, figures: Mapping[str, float] | None) -> list[str]:
    found = []
    for c, entry in calibration.classes.items():
        name = calibration.class_name(c)
        if entry.threshold <= 0:
            found.append(
                f"The sets of {name} are the whole image: {entry.n} {calibration.unit_name}s, or scores of no use, "
                "keep no tighter promise."
            )
        if figures is None:
            continue
        try:
            observed, error = (float(figures[f"pred_set_{key}_{c}"]) for key in ("fnr", "fnr_standard_error"))
        except (KeyError, TypeError) as missing:
            raise ValueError(f"The figures have no {missing}: they are of another calibration.") from missing
        if is_compared(calibration) and observed - 2 * error > calibration.promised.alpha:
            found.append(
                f"Of {name} {observed:.1%} was missed on other {calibration.unit_name}s, more than the promised "
                f"{calibration.promised.alpha:.1%} by over two standard errors: those are not like the "
                "calibration's, or their scores were made another way."
            )
    unguarded = guard_in_words(calibration.provenance)
    if unguarded is not None:
        found.append(unguarded)
    if calibration.counting.masked:
        found.append("Nothing is promised outside the mask that the calibration counted in.")
    return found


def _limits(calibration: Calibration) -> list[str]:
    limits = [
        "It is no promise about one case: some are missed by more, others by less.",
        f"It holds for {calibration.unit_name}s like those of the calibration, with scores made the same way.",
        "It does not say how large the sets are; a set that holds the whole image misses nothing.",
    ]
    if calibration.promised.method == "crc":
        limits.append("It is an average over calibrations, too: this one may lie somewhat above or below.")
    if calibration.counting.empty == "exclude":
        limits.append("Nothing is promised of images that do not show a class: sets there are false alarms.")
    if len(calibration.classes) > 1:
        limits.append("Each class has its own promise; none is made that all hold in the same case.")
    return limits
