"""The summaries of all calibration cases: what deployed cases are compared with, as a small JSON file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, TypedDict

from monai_rwcp.monitoring.summarising import check_summary_thresholds
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.utils.json_documents import DocumentKind, write_json
from monai_rwcp.utils.names import name_as_text

__all__ = ["CaseSummaries", "ImageSummary"]


class _Image(TypedDict):
    image: str
    unit: str
    values: dict[str, float]


class _Content(TypedDict):
    unit_name: str
    thresholds: list[float]
    include_background: bool
    with_image: bool
    provenance: dict[str, Any]
    images: list[_Image]


_DOCUMENT = DocumentKind(
    "summary of the calibration cases",
    "monai_rwcp.case_summaries",
    version=2,
    first_step="Run the evaluator over the calibration cases with CaseSummaryHandler(output_path='{path}') first",
    anew="CaseSummaryHandler",
    content=_Content,
    earlier={1: "0.1"},
)


@dataclass(frozen=True)
class ImageSummary:
    """The summary of one image.

    Args:
        unit: name of the exchangeable unit (the patient) the image belongs to.
        values: see :py:func:`monai_rwcp.monitoring.case_summary`; finite.

    Raises:
        ValueError: when the name is missing, or none.
    """

    unit: str
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", name_as_text(self.unit, "`unit`"))

    def same_as(self, other: ImageSummary) -> bool:
        """Whether both are of one image: the same unit, and the same numbers within what a network's batch changes."""
        return self.unit == other.unit and all(
            math.isclose(value, other.values[name], rel_tol=1e-3, abs_tol=1e-6) for name, value in self.values.items()
        )


@dataclass(frozen=True)
class CaseSummaries:
    """Summaries of cases by image, read by unit.

    Args:
        images: summary of each image by its id, in the order of the cases.
        unit_name: what a unit is: "patient", "image".
        thresholds, include_background: see :py:func:`monai_rwcp.monitoring.case_summary`.
        with_image: whether the images' own intensities are summarised, too.
        provenance: how the scores were made.

    Raises:
        ValueError: when there is no image, a number is not finite, or images have different numbers.

    Example:
        >>> one = CaseSummaries({"slice 1": ImageSummary("anna", {"uncertainty": 0.1})})
        >>> two = CaseSummaries({"slice 2": ImageSummary("anna", {"uncertainty": 0.3})})
        >>> CaseSummaries.join([one, two]).units
        {'anna': {'uncertainty': 0.2}}
    """

    images: Mapping[str, ImageSummary]
    unit_name: str = "image"
    thresholds: tuple[float, ...] = (0.5,)
    include_background: bool = False
    with_image: bool = False
    provenance: ScoreRecord = UNRECORDED

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError("Expected the summary of at least one image, but got none.")
        check_summary_thresholds(self.thresholds)
        for image, summary in self.images.items():
            check_summary(summary.values, self.names, f"image {image!r}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers."""
        return tuple(next(iter(self.images.values())).values)

    def __repr__(self) -> str:
        return f"CaseSummaries({len(self.units)} {self.unit_name}s, {len(self.images)} images)"

    @property
    def units(self) -> dict[str, dict[str, float]]:
        """The mean of each number over the images of a unit, in the order in which units first occur."""
        of_unit: dict[str, list[Mapping[str, float]]] = {}
        for summary in self.images.values():
            of_unit.setdefault(summary.unit, []).append(summary.values)
        return {unit: {name: fmean(v[name] for v in values) for name in self.names} for unit, values in of_unit.items()}

    @property
    def digest(self) -> str:
        """What tells this set of cases from every other."""
        return str(self._document()["digest"])

    @staticmethod
    def join(parts: Iterable[CaseSummaries]) -> CaseSummaries:
        """Join summaries of the same kind in their order; an image that occurs in several of them counts once.

        Raises:
            ValueError: when there is none, when they differ in kind or in the way their scores were made, or when one
                image id stands for different images.
        """
        parts = list(parts)
        if not parts:
            raise ValueError("Expected at least one summary to join, but got none.")
        first = parts[0]
        images: dict[str, ImageSummary] = {}
        for part in parts:
            for name in ("names", "unit_name", "thresholds", "include_background", "with_image"):
                if getattr(part, name) != getattr(first, name):
                    raise ValueError(
                        f"Expected summaries of one kind, but `{name}` is {getattr(first, name)!r} in one and "
                        f"{getattr(part, name)!r} in another."
                    )
            for image, summary in part.images.items():
                if not images.setdefault(image, summary).same_as(summary):
                    raise ValueError(
                        f"The image id {image!r} stands for two different images (units {images[image].unit!r} and "
                        f"{summary.unit!r}). Every image needs an id of its own: give `case_key`."
                    )
        return replace(first, images=images, provenance=ScoreRecord.join(part.provenance for part in parts))

    def save(self, path: str | Path) -> None:
        """Write the summaries as JSON; the file appears whole or not at all.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
        """
        write_json(self._document(), path)

    @classmethod
    def load(cls, path: str | Path) -> CaseSummaries:
        """Read summaries and make sure that they are whole.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it holds something else, is of an unknown version, damaged, or was edited.
        """
        document = _DOCUMENT.read(path)
        with _DOCUMENT.contents_of(path):
            return cls(
                images={
                    str(image["image"]): ImageSummary(image["unit"], image["values"]) for image in document["images"]
                },
                unit_name=document["unit_name"],
                thresholds=tuple(document["thresholds"]),
                include_background=document["include_background"],
                with_image=document["with_image"],
                provenance=ScoreRecord.from_json(document["provenance"]),
            )

    def _document(self) -> dict[str, Any]:
        return _DOCUMENT.signed(
            {
                "unit_name": self.unit_name,
                "thresholds": list(self.thresholds),
                "include_background": self.include_background,
                "with_image": self.with_image,
                "provenance": self.provenance.to_json(),
                "images": [
                    {"image": image, "unit": summary.unit, "values": dict(summary.values)}
                    for image, summary in self.images.items()
                ],
            }
        )


def check_summary(values: Mapping[str, float], names: tuple[str, ...], what: str) -> None:
    """Refuse a summary that has other numbers than those it is to be compared with, or one that is not finite.

    Raises:
        ValueError: when it does; the message names ``what``.

    Example:
        >>> check_summary({"uncertainty": 0.1}, ("uncertainty",), "case 'anna'")
    """
    if tuple(values) != tuple(names):
        raise ValueError(
            f"Expected the summary of {what} to hold {list(names)}, but it holds {list(values)}. Take the same "
            "network, keys and thresholds for all cases."
        )
    wrong = [name for name, value in values.items() if isinstance(value, bool) or not math.isfinite(value)]
    if wrong:
        raise ValueError(f"Expected finite numbers in the summary of {what}, but {wrong[0]} is {values[wrong[0]]!r}.")
