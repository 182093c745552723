"""What tuning chose, and on whom, as a file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from monai_rwcp.scores.choice import Score, score_from
from monai_rwcp.tune.cases import names_of_units
from monai_rwcp.tune.choice import Choice
from monai_rwcp.utils.json_documents import DocumentKind, write_json

__all__ = ["TunedSettings"]


class _Content(TypedDict):
    method: str
    settings: dict[str, Any]
    alpha: float
    objective: str
    why: str
    unit_name: str
    tuning_units: list[str]


_DOCUMENT = DocumentKind(
    "settings file",
    "monai_rwcp.tuned_settings",
    version=2,
    first_step="Make one with tune_settings or `monai-rwcp tune`",
    anew="tune_settings or `monai-rwcp tune`",
    content=_Content,
    earlier={1: "0.1"},
)


@dataclass(frozen=True)
class TunedSettings:
    """How a score is made, chosen on patients that no calibration and no test may see again.

    Args:
        score: how it is made.
        units: names of the tuning units.
        unit_name: what a unit is, for people: "patient", "image".
        alpha: share of the truth that the compared sets missed.
        objective: what was compared.
        why: the reason in words.

    Example:
        >>> from monai_rwcp.scores import BlurredScore
        >>> settings = TunedSettings(BlurredScore(2.0), ("anna", "ben"), "patient", 0.1, "stretch", "it was best")
        >>> settings.check_unseen(["carl"], "calibration", "patient")
    """

    score: Score
    units: tuple[str, ...]
    unit_name: str
    alpha: float
    objective: str
    why: str

    @staticmethod
    def of(choice: Choice, unit_name: str) -> TunedSettings:
        """What to keep of a choice."""
        return TunedSettings(choice.chosen, choice.units, unit_name, choice.alpha, choice.objective, choice.why)

    def check_unseen(self, units: Collection[object], split: str, unit_name: str) -> None:
        """Refuse units that these settings were chosen on.

        Args:
            units: names of units, strings or whole numbers.
            split: what they are to be used for, such as "calibration", for the message.
            unit_name: what these units are; names of images would match no patient's.

        Raises:
            TypeError: when all are one string.
            ValueError: when a name is missing, or none, they are other units than those of the tuning, or some of them
                are tuning units; the message names them.
        """
        if unit_name != self.unit_name:
            raise ValueError(
                f"The settings were tuned on units called '{self.unit_name}', but those of the {split} are called "
                f"'{unit_name}', so nobody can tell whether some are the same. Name both alike: "
                f"unit_key='{self.unit_name}'."
            )
        seen = sorted(names_of_units(units, f"the {split} units") & names_of_units(self.units, "the tuning units"))
        if seen:
            raise ValueError(
                f"Expected {split} {self.unit_name}s that the settings were not tuned on, but {seen[:5]} ({len(seen)} "
                "in all) are tuning units. Settings that were fitted to a case flatter it, and the promise would not "
                "hold: take these out, or tune on others."
            )

    def save(self, path: str | Path) -> None:
        """Write the settings as JSON; the file appears whole or not at all.

        Raises:
            OSError: when it cannot be written.
            ValueError: when its score is of a class that could not be read back.
        """
        self._check_readable()
        document = {
            "method": self.score.kind,
            "settings": self.score.settings,
            "alpha": self.alpha,
            "objective": self.objective,
            "why": self.why,
            "unit_name": self.unit_name,
            "tuning_units": list(self.units),
        }
        write_json(_DOCUMENT.signed(document), path)

    def _check_readable(self) -> None:
        try:
            read: Score | None = score_from(self.score.kind, self.score.settings)
        except (KeyError, TypeError, ValueError):
            read = None
        if type(read) is not type(self.score) or read != self.score:
            raise ValueError(
                f"The score {self.score!r} could not be read back from a file: "
                f"{type(self.score).__name__} is none of this package's."
            )

    @staticmethod
    def load(path: str | Path) -> TunedSettings:
        """Read what :py:meth:`save` wrote.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it is damaged, of another version, or something else.
        """
        document = _DOCUMENT.read(path)
        with _DOCUMENT.contents_of(path):
            return TunedSettings(
                score_from(document["method"], document["settings"]),
                tuple(document["tuning_units"]),
                document["unit_name"],
                document["alpha"],
                document["objective"],
                document["why"],
            )
