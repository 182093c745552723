"""The calibration artefact: the thresholds, the promise they keep, and how the scores were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.choice import loss_from_record
from monai_rwcp.conformal.counting.losses.voxels import FalseNegativeRate
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.promises.calibration_file import (
    CALIBRATION_DOCUMENT,
    check_contents,
    classes_from_document,
    classes_to_document,
    weighted_from_document,
    weighted_to_document,
)
from monai_rwcp.conformal.promises.calibration_html import calibration_html
from monai_rwcp.conformal.promises.class_calibration import ClassCalibration
from monai_rwcp.conformal.promises.promise import Promise
from monai_rwcp.conformal.promises.promise_words import promise_in_words
from monai_rwcp.conformal.promises.weighted_losses import WeightedLosses
from monai_rwcp.provenance.packages import installed_packages
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.utils.arguments import check_weight
from monai_rwcp.utils.json_documents import dataclass_from_document, write_json
from monai_rwcp.utils.names import optional_name
from monai_rwcp.utils.times import utc_now

__all__ = ["Calibration"]


@dataclass(frozen=True)
class Calibration:
    """Thresholds with a promise, as a small JSON file.

    Args:
        promised: what is promised.
        unit_name: what a unit is: "patient", "image".
        n_channels: number of channels a score must have.
        n_images: number of calibration images.
        class_names: a name for each channel, or None.
        classes: what was calibrated for each class, by channel number.
        provenance: how the scores were made.
        counting: what was counted in the calibration images.
        loss: which loss was counted.
        groups: what was calibrated for each class of each group that has units enough, or None without groups.
        weighted: what the threshold of a case is computed from, or None without weights; ``classes`` are then the
            safest sets.
        packages: versions of the packages that made it.
        created: time in UTC, ISO 8601.

    Example:
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={1: ClassCalibration(0.25, 30, 0.05, 0.07)})
        >>> calibration.lambda_hat, calibration.threshold
        ({1: 0.75}, {1: 0.25})
        >>> print(calibration.promise)  # doctest: +ELLIPSIS
        On average at most 10 % of class 1 is missed in a new patient who shows it (calibrated on 30 patients)...
    """

    promised: Promise
    unit_name: str
    n_channels: int
    n_images: int
    class_names: tuple[str, ...] | None
    classes: Mapping[int, ClassCalibration]
    provenance: ScoreRecord = UNRECORDED
    counting: CountingOptions = field(default_factory=CountingOptions)
    loss: SetLoss = field(default_factory=FalseNegativeRate)
    groups: Mapping[str, Mapping[int, ClassCalibration]] | None = None
    weighted: Mapping[int, WeightedLosses] | None = None
    packages: Mapping[str, str] = field(default_factory=installed_packages)
    created: str = field(default_factory=utc_now)

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
        group = optional_name(group, "`group`")
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
        return promise_in_words(
            self.promised,
            self.counting,
            self.loss,
            self.unit_name,
            {c: self.class_name(c) for c in self.classes},
            self.classes,
            groups=self.groups,
            weighted=self.weighted,
            provenance=self.provenance,
        )

    def _repr_html_(self) -> str:
        named = [(self.class_name(c), entry) for c, entry in self.classes.items()]
        return calibration_html(self.promise, self.unit_name, named)

    def save(self, path: str | Path) -> None:
        """Write the calibration as JSON; the file appears whole or not at all.

        Args:
            path: where to write; a file there is replaced.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
        """
        write_json(self.to_document(), path)

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read a calibration and make sure that it is whole.

        Args:
            path: a file written by :py:meth:`save`.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it is not a calibration, of an unknown version, damaged, or edited after it was written.
        """
        return cls.from_document(CALIBRATION_DOCUMENT.read(path), path)

    def to_document(self) -> dict[str, Any]:
        """The calibration as JSON, with the digest that shows later changes."""
        groups, weighted = self.groups, self.weighted
        return CALIBRATION_DOCUMENT.signed(
            {
                "promise": self.promise,
                "promised": asdict(self.promised),
                "loss": self.loss.record(),
                "counting": asdict(self.counting),
                "unit_name": self.unit_name,
                "n_channels": self.n_channels,
                "n_images": self.n_images,
                "class_names": None if self.class_names is None else list(self.class_names),
                "classes": classes_to_document(self.classes),
                "groups": None if groups is None else {g: classes_to_document(of) for g, of in groups.items()},
                "weighted": None if weighted is None else weighted_to_document(weighted),
                "provenance": self.provenance.to_json(),
                "packages": dict(self.packages),
                "created": self.created,
            }
        )

    @classmethod
    def from_document(cls, document: Any, path: str | Path) -> Calibration:
        """Turn JSON into a calibration, or say why it is none.

        Args:
            document: as :py:meth:`to_document` gives it.
            path: where it is from, for messages.

        Raises:
            ValueError: as :py:meth:`load`.
        """
        CALIBRATION_DOCUMENT.check(document, path)
        with CALIBRATION_DOCUMENT.contents_of(path):
            promised = dataclass_from_document(Promise, document["promised"])
            loss = loss_from_record(document["loss"])
            check_contents(document, promised, loss)
            names, groups, weighted = (document[name] for name in ("class_names", "groups", "weighted"))
            return cls(
                promised=promised,
                counting=dataclass_from_document(CountingOptions, document["counting"]),
                loss=loss,
                unit_name=document["unit_name"],
                n_channels=document["n_channels"],
                n_images=document["n_images"],
                class_names=None if names is None else tuple(names),
                classes=classes_from_document(document["classes"]),
                groups=None if groups is None else {g: classes_from_document(of) for g, of in groups.items()},
                weighted=None if weighted is None else weighted_from_document(weighted),
                provenance=ScoreRecord.from_json(document["provenance"]),
                packages=document["packages"],
                created=document["created"],
            )
