"""A promise in plain words."""

from __future__ import annotations

from collections.abc import Mapping

from monai_rwcp.conformal.counting.levels import EMPTY_SET
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.promises.class_calibration import ClassCalibration
from monai_rwcp.conformal.promises.promise import Promise
from monai_rwcp.conformal.promises.weighted_losses import WeightedLosses
from monai_rwcp.provenance.guard import guard_in_words
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.utils.names import UNNAMED
from monai_rwcp.utils.shown_text import one_line

__all__ = ["promise_in_words"]


def promise_in_words(
    promise: Promise,
    counting: CountingOptions,
    loss: SetLoss,
    unit: str,
    names: Mapping[int, str],
    classes: Mapping[int, ClassCalibration],
    groups: Mapping[str, Mapping[int, ClassCalibration]] | None,
    weighted: Mapping[int, WeightedLosses] | None,
    provenance: ScoreRecord,
) -> str:
    """Say what the sets of a new unit keep, by class and group, what the numbers are over, and what guards them not.

    Args:
        promise: what is promised.
        counting: what was counted.
        loss: which loss was counted.
        unit: what a unit is, such as "patient".
        names: name of each class.
        provenance: how the scores were made.
        classes, groups, weighted: what was calibrated, see :py:class:`monai_rwcp.Calibration`.
    """
    unit = one_line(unit)
    lines = []
    for group, of_group in {None: classes}.items() if groups is None else groups.items():
        for c, name in names.items():
            entry = of_group.get(c)
            if entry is None:
                lines.append(_nothing(one_line(name), unit, group))
                continue
            sentence = _sentence(promise, counting, one_line(loss.subject(name)), unit, group)
            effective_n = None if weighted is None else weighted[c].effective_n
            lines.append(f"{sentence} {_calibrated_on(entry, unit, loss, effective_n)}.")
    if weighted is not None:
        lines.append(
            f"This is for the population that the weights describe, and as true as they are; each {unit} has a "
            "threshold of its own."
        )
    lines.append(promise.scope_of(unit))
    if unit in UNNAMED:
        lines.append(
            f"Every {unit} counts by itself, because nobody said which are of one patient: where several are, the "
            "promise may not hold."
        )
    unguarded = guard_in_words(provenance)
    return "\n".join(lines if unguarded is None else [*lines, unguarded])


def _sentence(promise: Promise, counting: CountingOptions, subject: str, unit: str, group: str | None) -> str:
    who = "who shows it" if unit == "patient" else "that shows it"
    of_group = _of_group(group)
    whom, whose = f"in a new {unit}{of_group} {who}", f"new {unit}s{of_group} {who.replace('shows', 'show')}"
    if counting.empty == "zero":
        whom = f"in a new {unit}{of_group} (a {unit} without it counts as nothing missed)"
        whose = f"new {unit}s{of_group} (a {unit} without it counts as covered)"
    if counting.unit_loss == "mean":
        mean = f", as the mean over the {unit}'s images that show it"
        whom, whose = whom + mean, whose + mean
    if counting.masked:
        inside = ", where only voxels inside the mask count"
        whom, whose = whom + inside, whose + inside
    return promise.sentence(subject, unit, whom, whose)


def _calibrated_on(entry: ClassCalibration, unit: str, loss: SetLoss, effective_n: float | None) -> str:
    on = f"(calibrated on {entry.n} {unit}{'' if entry.n == 1 else 's'}"
    if effective_n is not None:
        nothing = "" if entry.n else "; with none every set is the safest one, so this says nothing"
        return f"{on}, worth {effective_n:.4g} of the other population){nothing}"
    if entry.threshold == EMPTY_SET:
        return f"{on}); its inner set is empty, so this says nothing"
    if entry.threshold == 0 and not loss.of_excess:
        return f"{on}); its prediction set is the whole image, so this says nothing"
    return f"{on})"


def _nothing(name: str, unit: str, group: str | None) -> str:
    few = f"too few {unit}s, so the threshold of all is used"
    return f"Of {name} in a new {unit}{_of_group(group)} nothing is promised: {few}."


def _of_group(group: str | None) -> str:
    return "" if group is None else f" of the group {group!r}"
