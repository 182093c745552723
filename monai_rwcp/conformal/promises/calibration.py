"""The calibration artefact: the thresholds, the promise they keep, and how the scores were made."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.voxels import FalseNegativeRate
from monai_rwcp.conformal.promises import calibration_file as storage
from monai_rwcp.conformal.promises.calibration_html import calibration_html
from monai_rwcp.conformal.promises.promise import Promise
from monai_rwcp.conformal.promises.promise_words import promise_in_words
from monai_rwcp.conformal.promises.weighted_losses import WeightedLosses
from monai_rwcp.provenance.packages import installed_packages
from monai_rwcp.utils.arguments import check_weight
from monai_rwcp.utils.json_documents import read_json, write_json

__all__ = ["Calibration", "ClassCalibration"]


@dataclass(frozen=True)
class ClassCalibration:
    """What was calibrated for one class.

    Args:
        threshold: a voxel is in the prediction set when its score is at least this, in [0, 1]; 0 is the whole image,
            and 2, for losses of excess, the empty set.
        n: number of calibration units that count for the class.
        empirical_risk: mean loss of these units at the threshold, in [0, 1]; for tolerance the share of units that
            are not covered enough.
        working_level: the mean loss that was allowed, for crc ``((n + 1) alpha - 1) / n``; None without units and for
            the betting bound, which looks at more than the mean.
    """

    threshold: float
    n: int
    empirical_risk: float
    working_level: float | None

    @property
    def lambda_hat(self) -> float:
        """Calibrated level, ``1 - threshold``."""
        return 1.0 - self.threshold


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Calibration:
    """Thresholds with a promise, as a small JSON file.

    Args:
        promised: what is promised.
        unit_loss: ``"pooled"`` or ``"mean"``.
        empty: ``"exclude"`` or ``"zero"``.
        outside: ``"include"`` or ``"exclude"``: how voxels outside the processed field were counted.
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"``.
        unit_name: what a unit is: "patient", "image".
        n_channels: number of channels a score must have.
        n_images: number of calibration images.
        class_names: a name for each channel, or None.
        classes: what was calibrated for each class, by channel number.
        provenance: how the scores were made.
        loss: what was counted.
        groups: what was calibrated for each class of each group that has units enough, or None without groups.
        weighted: what the threshold of a case is computed from, or None without weights; ``classes`` are then the
            safest sets.
        masked: whether voxels outside a mask were left out, of which nothing is promised then.
        packages: versions of the packages that made it.
        created: time in UTC, ISO 8601.

    Example:
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_loss="pooled", empty="exclude", outside="include",
        ...     label_mode="index", unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)}, provenance={})
        >>> calibration.lambda_hat, calibration.threshold
        ({1: 0.75}, {1: 0.25})
        >>> print(calibration.promise)  # doctest: +ELLIPSIS
        On average at most 10 % of class 1 is missed in a new patient who shows it (calibrated on 30 patients)...
    """

    promised: Promise
    unit_loss: str
    empty: str
    outside: str
    label_mode: str
    unit_name: str
    n_channels: int
    n_images: int
    class_names: tuple[str, ...] | None
    classes: Mapping[int, ClassCalibration]
    provenance: Mapping[str, Any]
    loss: SetLoss = field(default_factory=FalseNegativeRate)
    groups: Mapping[str, Mapping[int, ClassCalibration]] | None = None
    weighted: Mapping[int, WeightedLosses] | None = None
    masked: bool = False
    packages: Mapping[str, str] = field(default_factory=installed_packages)
    created: str = field(default_factory=_now)

    def __repr__(self) -> str:
        found = ", ".join(f"{self.class_name(c)} >= {e.threshold:.4g} (n = {e.n})" for c, e in self.classes.items())
        return f"Calibration({self.promised.method}, {self.loss.name} <= {self.promised.alpha:g}: {found})"

    @property
    def lambda_hat(self) -> dict[int, float]:
        """Calibrated level of each class, ``1 - threshold``."""
        return {c: entry.lambda_hat for c, entry in self.classes.items()}

    @property
    def threshold(self) -> dict[int, float]:
        """Score from which a voxel is in the prediction set of each class; 0 is the whole image."""
        return {c: entry.threshold for c, entry in self.classes.items()}

    @property
    def n(self) -> dict[int, int]:
        """Number of calibration units that count for each class."""
        return {c: entry.n for c, entry in self.classes.items()}

    @property
    def empirical_risk(self) -> dict[int, float]:
        """Mean loss of the calibration units at the threshold of each class."""
        return {c: entry.empirical_risk for c, entry in self.classes.items()}

    def class_name(self, class_index: int) -> str:
        """Name of a class, for people."""
        return f"class {class_index}" if self.class_names is None else self.class_names[class_index]

    def thresholds_for(self, group: str | None = None, weight: float | None = None) -> dict[int, float]:
        """The thresholds of one case.

        Args:
            group: name of its group; None where the calibration knows no groups.
            weight: its weight; None where the calibration knows no weights.

        Returns:
            a threshold for each class; where its group had too few units, the threshold of all.

        Raises:
            ValueError: when a group or weight is missing, not asked for or not valid, or the group was not seen at
                calibration.
        """
        for name, given, known in (("group", group, self.groups), ("weight", weight, self.weighted)):
            if given is not None and known is None:
                raise ValueError(f"The calibration has no {name}s, but the {name} {given!r} was given. Leave it out.")
        if self.weighted is not None:
            if weight is None:
                raise ValueError(
                    "The calibration is weighted: every case needs its own weight (`weight_key`), from the same source "
                    "as the weights of the calibration, but none was given."
                )
            checked = check_weight(weight)
            return {c: of_class.threshold(self.promised.alpha, checked) for c, of_class in self.weighted.items()}
        if self.groups is None:
            return self.threshold
        if group is None or group not in self.groups:
            got = "none was given" if group is None else f"got {group!r}, which was not seen at calibration"
            raise ValueError(
                f"Expected one of the calibrated groups {sorted(self.groups)}, but {got}. No promise covers it: name "
                "the right group (`group_key`), or calibrate with units of it."
            )
        return self.threshold | {c: entry.threshold for c, entry in self.groups[group].items()}

    @property
    def promise(self) -> str:
        """What the prediction sets of a new unit keep, in plain words."""
        return promise_in_words(self)

    def _repr_html_(self) -> str:
        return calibration_html(self)

    def save(self, path: str | Path) -> None:
        """Write the calibration as JSON; the file appears whole or not at all.

        Args:
            path: where to write; a file there is replaced.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
        """
        write_json(storage.to_document(self), path)

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read a calibration and make sure that it is whole.

        Args:
            path: a file written by :py:meth:`save`.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it is not a calibration, of an unknown version, damaged, or edited after it was written.
        """
        how = f"Run the evaluator with ConformalCalibrationHandler(output_path='{path}') first"
        return storage.from_document(read_json(path, "calibration", how), path)
