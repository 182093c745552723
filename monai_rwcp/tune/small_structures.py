"""Whether a candidate buys its small sets by missing small structures: compared with plain scores by patient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monai_rwcp.metrics.structure_sizes import smallest_third
from monai_rwcp.tune.curves import SetCurves

__all__ = ["SmallStructures", "compare_small_structures"]

# What a candidate may miss more of small structures than plain scores, on average and with one standard error added;
# and how many more of its sets may be empty.
_MISSED, _MISSED_SURELY = 0.02, 0.05
_EMPTY, _EMPTY_SURELY = 0.01, 0.02


@dataclass(frozen=True)
class SmallStructures:
    """What a candidate does to small structures, less what plain scores do, at the same mean false negative rate.

    Args:
        missed: mean difference in the share missed of the structures in the smallest third of their class, patient by
            patient, in [-1, 1].
        missed_error: its standard error over patients; infinite for a single patient.
        empty: mean difference in the share of empty sets, of structures of all sizes, in [-1, 1].
        empty_error: its standard error.
    """

    missed: float
    missed_error: float
    empty: float
    empty_error: float

    @property
    def is_harmful(self) -> bool:
        """Whether more of small structures is missed, or more sets are empty, than a gain in size is worth.

        A mean difference above .02 (empty sets: .01), or above .05 (.02) with one standard error added: few patients
        cannot clear a candidate that may be harmful.
        """
        return (
            self.missed > _MISSED
            or self.missed + self.missed_error > _MISSED_SURELY
            or self.empty > _EMPTY
            or self.empty + self.empty_error > _EMPTY_SURELY
        )


def compare_small_structures(
    curves: SetCurves, steps: Sequence[int], plain: SetCurves, plain_steps: Sequence[int], owner: Mapping[str, str]
) -> SmallStructures:
    """Compare a candidate's sets with those of plain scores, structure by structure.

    A structure is one class in one image.

    Args:
        curves: counts of the candidate, a row for each image.
        steps: numbers of its thresholds, one for each class.
        plain, plain_steps: the same of plain scores, on the same images.
        owner: for each image the patient.

    Raises:
        ValueError: when the images or classes differ.

    Example:
        >>> import torch
        >>> from monai_rwcp.tune import set_curves
        >>> label = torch.tensor([[[0, 1, 1]]])
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> of = set_curves(score, label, unit="slice 1")
        >>> compare_small_structures(of, [0], of, [0], {"slice 1": "anna"}).missed
        0.0
    """
    if (curves.units, curves.classes) != (plain.units, plain.classes):
        raise ValueError(f"Expected counts of the same images and classes, but got {curves!r} and {plain!r}.")
    shown = curves.true > 0
    missed = _at(curves.false_negative_rate, steps) - _at(plain.false_negative_rate, plain_steps)
    empty = (_at(curves.size, steps) == 0).astype(float) - (_at(plain.size, plain_steps) == 0)
    owners = [owner[image] for image in curves.units]
    small = _by_patient(missed, np.apply_along_axis(smallest_third, 0, curves.true), owners)
    of_all = _by_patient(empty, shown, owners)
    return SmallStructures(*small, *of_all)


def _at(along: np.ndarray, steps: Sequence[int]) -> np.ndarray:
    """Values ``[images, classes]`` at the threshold of each class."""
    return np.stack([along[:, c, step] for c, step in enumerate(steps)], axis=1)


def _by_patient(values: np.ndarray, counted: np.ndarray, owners: Sequence[str]) -> tuple[float, float]:
    """Mean over patients of the mean over their structures, and its standard error."""
    means = []
    for patient in dict.fromkeys(owners):
        rows = [i for i, owner in enumerate(owners) if owner == patient]
        of_patient = values[rows][counted[rows]]
        if of_patient.size:
            means.append(float(of_patient.mean()))
    if len(means) < 2:
        return (means[0] if means else 0.0), (math.inf if means else 0.0)
    return float(np.mean(means)), float(np.std(means, ddof=1) / math.sqrt(len(means)))
