"""A calibration's promise in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monai_rwcp.conformal.counting.levels import EMPTY_SET
from monai_rwcp.conformal.promises.promise import Promise

if TYPE_CHECKING:
    from monai_rwcp.conformal.promises.calibration import Calibration, ClassCalibration

__all__ = ["promise_in_words"]


def promise_in_words(calibration: Calibration) -> str:
    """Say what the sets of a new unit keep: a line for each class (of each group), and what the numbers are over.

    Args:
        calibration: the calibration.
    """
    kind = calibration.promised
    lines = []
    if calibration.groups is None:
        lines += [_line(calibration, kind, c, entry) for c, entry in calibration.classes.items()]
    for group, classes in (calibration.groups or {}).items():
        lines += [_line(calibration, kind, c, classes.get(c), group) for c in calibration.classes]
    unit = calibration.unit_name
    if calibration.weighted is not None:
        lines.append(
            f"This is for the population that the weights describe, and as true as they are; each {unit} has a "
            "threshold of its own."
        )
    return "\n".join([*lines, kind.scope_of(unit)])


def _line(
    calibration: Calibration, kind: Promise, class_index: int, entry: ClassCalibration | None, group: str | None = None
) -> str:
    name, unit = calibration.class_name(class_index), calibration.unit_name
    who = "who shows it" if unit == "patient" else "that shows it"
    of_group = "" if group is None else f" of the group {group!r}"
    if entry is None:
        few = f"too few {unit}s, so the threshold of all is used"
        return f"Of {name} in a new {unit}{of_group} nothing is promised: {few}."
    whom, whose = f"in a new {unit}{of_group} {who}", f"new {unit}s{of_group} {who.replace('shows', 'show')}"
    if calibration.empty == "zero":
        whom = f"in a new {unit}{of_group} (a {unit} without it counts as nothing missed)"
        whose = f"new {unit}s{of_group} (a {unit} without it counts as covered)"
    if calibration.unit_loss == "mean":
        mean = f", as the mean over the {unit}'s images that show it"
        whom, whose = whom + mean, whose + mean
    if calibration.masked:
        inside = ", where only voxels inside the mask count"
        whom, whose = whom + inside, whose + inside
    line = f"{kind.sentence(calibration.loss.subject(name), unit, whom, whose)} (calibrated on {entry.n} {unit}s"
    if calibration.weighted is not None:
        nothing = "" if entry.n else "; with none every set is the safest one, so this says nothing"
        return f"{line}, worth {calibration.weighted[class_index].effective_n:.4g} of the other population){nothing}."
    line += ")"
    if entry.threshold == EMPTY_SET:
        line += "; its inner set is empty, so this says nothing"
    elif entry.threshold == 0 and not calibration.loss.of_excess:
        line += "; its prediction set is the whole image, so this says nothing"
    return line + "."
