"""What a reader of the report must look at first."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.report.intervals import observed_interval
from monai_rwcp.utils.names import UNNAMED

__all__ = ["is_compared", "other_units", "report_warnings"]

_FEW = 10


def is_compared(calibration: Calibration) -> bool:
    """Whether the mean missed share of patients is what the calibration promises something of."""
    return not _other_promise(calibration)


def other_units(calibration: Calibration, unit: str) -> list[str]:
    """What is to be said where units were named at calibration and not here, or the other way round."""
    if (unit in UNNAMED) == (calibration.unit_name in UNNAMED):
        return []
    return [f"The promise is about {calibration.unit_name}s, but what is observed here is by {unit}: name units alike."]


def report_warnings(calibration: Calibration, figures: Mapping[int, Mapping[str, float]]) -> list[str]:
    """Say what stands out, the promise first.

    Args:
        calibration: what was promised.
        figures: of each class, see :py:func:`monai_rwcp.metrics.class_figures`.
    """
    unit = calibration.unit_name
    other = _other_promise(calibration)
    found = [f"The missed share below is not what is promised: {other}. They are not compared."] if other else []
    for c, of_class in figures.items():
        name, n = calibration.class_name(c), int(of_class["n_units"])
        if calibration.groups is None and calibration.weighted is None and calibration.classes[c].threshold <= 0:
            found.append(f"The sets of {name} are the whole image: too few {unit}s, or scores of no use.")
        if n < _FEW:
            found.append(f"Few {unit}s here show {name} ({n}): its figures say little.")
        low, high = observed_interval(of_class)
        # Where all miss the same share there is no interval, and no doubt either.
        alike = n > 1 and isnan(low)
        if not other and (of_class["fnr"] if alike else low) > calibration.promised.alpha:
            interval = "the same in all" if alike else f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
            found.append(
                f"Of {name} {100 * of_class['fnr']:.1f} % is missed ({interval}), more than the promised "
                f"{100 * calibration.promised.alpha:g} %: these {unit}s are not like the calibration's, "
                f"their scores were made another way, or the calibration had few {unit}s."
            )
        if of_class["false_alarm_rate"] > 0.5:
            share, n_without = 100 * of_class["false_alarm_rate"], int(of_class["n_without_class"])
            found.append(
                f"{share:.0f} % of the {n_without} images without {name} have a set of it: nothing is promised there."
            )
    return found


def _other_promise(calibration: Calibration) -> str:
    reasons = {
        f"its loss is {calibration.loss.name!r}": calibration.loss.name != "fnr",
        f"it is about the share of {calibration.unit_name}s that are covered enough": calibration.promised.tau
        is not None,
        "it is about the mean over images": calibration.counting.unit_loss == "mean",
        f"{calibration.unit_name}s without a class count as nothing missed": calibration.counting.empty == "zero",
        "only voxels inside a mask count": calibration.counting.masked,
    }
    return ", and ".join(reason for reason, applies in reasons.items() if applies)
