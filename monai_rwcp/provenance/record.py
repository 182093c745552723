"""How a score was made: one record, what it has in common with others, and where it differs from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from monai_rwcp.utils.json_types import check_types

__all__ = ["UNRECORDED", "VARIES", "WRITTEN_BY", "ComparedField", "RecordedStep", "ScoreRecord"]

VARIES = "varies"
"""Stands for what cases do not share, where they need not: the spacing, the program that wrote a map."""

WRITTEN_BY = "written_by"
"""Where the record of files names the program that wrote them."""


class ComparedField(NamedTuple):
    """One field of two records.

    Args:
        field: its name, with dots, such as ``walk.k``.
        expected: its value in the one; None where it is not recorded.
        got: its value in the other.
        agrees: whether they count as equal.
    """

    field: str
    expected: Any
    got: Any
    agrees: bool

    def in_words(self, of: str) -> str:
        """Say the difference.

        Args:
            of: whose record was expected, such as "the calibration".

        Example:
            >>> ComparedField("walk.k", 20, 5, False).in_words("the calibration")
            'walk.k is 5, but the calibration has 20'
        """
        got, expected = ("not recorded" if value is None else repr(value) for value in (self.got, self.expected))
        has = f"{of} has none" if self.expected is None else f"{of} has {expected}"
        return f"{self.field} is {got}, but {has}"


@dataclass(frozen=True)
class RecordedStep:
    """One thing that was done to a map of probabilities to make the score.

    Args:
        kind: what was done: ``"walk"``, ``"blur"``.
        settings: how, as JSON values.
        side: on which side of `Invertd` the map was then, see :py:func:`monai_rwcp.provenance.grid_side`.
        features: what is known of the features it went by, as JSON values; None where it takes none.
    """

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    side: Any = None
    features: Any = None

    def to_json(self) -> dict[str, Any]:
        """The step as JSON values; what is None is left out."""
        known = {"side": self.side, "features": self.features}
        named = {name: value for name, value in known.items() if value is not None}
        return {"kind": self.kind, "settings": dict(self.settings), **named}

    def compared(self) -> dict[str, Any]:
        """Its fields by the names that they have in messages."""
        return {"features": self.features, **self.settings, "side": self.side}


class _JsonStep(TypedDict):
    kind: str
    settings: dict[str, Any]
    side: NotRequired[Any]
    features: NotRequired[Any]


class _Json(TypedDict, total=False):
    network: str | None
    maps: dict[str, Any] | None
    inferer: dict[str, Any] | None
    flips: list[list[int]] | None
    spacing: list[float] | Literal["varies"] | None
    steps: list[_JsonStep]
    dtype: str | None
    side: str | None


@dataclass(frozen=True)
class ScoreRecord:
    """How a score was made; None where it is not recorded.

    Args:
        network: hash of the weights of the network that made the probabilities, or the name that a person gave it.
        maps: what the files of the probabilities tell of where they are from, as JSON values; None where they were
            not read from files.
        inferer: what its inferer does to values, see :py:func:`monai_rwcp.provenance.inferer_record`.
        flips: the flipped copies of the image that were averaged, as spatial axes.
        spacing: size of a voxel along each axis in mm, or ``"varies"`` where cases do not share one.
        steps: what was done to the probabilities, in this order.
        dtype: of the score.
        side: on which side of `Invertd` the score is.

    Raises:
        ValueError: when it is read from JSON values that are no record.

    Example:
        >>> made = ScoreRecord(network="sha256:12").with_step(RecordedStep("walk", {"k": 20}))
        >>> made.to_json()
        {'network': 'sha256:12', 'steps': [{'kind': 'walk', 'settings': {'k': 20}}]}
        >>> made.first_difference(ScoreRecord(network="sha256:12", steps=(RecordedStep("walk", {"k": 5}),))).field
        'walk.k'
    """

    network: str | None = None
    maps: Mapping[str, Any] | None = None
    inferer: Mapping[str, Any] | None = None
    flips: list[list[int]] | None = None
    spacing: list[float] | str | None = None
    steps: tuple[RecordedStep, ...] = ()
    dtype: str | None = None
    side: str | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether anything is known but what can be read from the score itself."""
        known = (self.network, self.maps, self.inferer, self.flips)
        return any(value is not None for value in known) or bool(self.steps)

    def with_step(self, step: RecordedStep) -> ScoreRecord:
        """The record after one more step."""
        return replace(self, steps=(*self.steps, step))

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values; what is not recorded is left out."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "steps"}
        steps = [step.to_json() for step in self.steps]
        known = {name: value for name, value in named.items() if value is not None}
        return {**known, "steps": steps} if steps else known

    @staticmethod
    def from_json(values: Any) -> ScoreRecord:
        """Read what :py:meth:`to_json` gave.

        Raises:
            ValueError: when it is something else; the message names what does not belong.
        """
        known = {f.name for f in fields(ScoreRecord)}
        if not isinstance(values, Mapping) or not values.keys() <= known:
            wrong = sorted(map(str, values.keys() - known)) if isinstance(values, Mapping) else repr(values)
            raise ValueError(
                f"Expected the record of a score, with {', '.join(sorted(known))}, but got {wrong}. Let the transforms "
                "of monai_rwcp write it."
            )
        check_types(dict(values), _Json, "the record of a score")
        try:
            steps = tuple(RecordedStep(**step) for step in values.get("steps", []))
        except TypeError as error:
            raise ValueError(f"a step of the record of a score: {error}") from error
        return ScoreRecord(**{**values, "steps": steps})

    @staticmethod
    def join(records: Iterable[ScoreRecord]) -> ScoreRecord:
        """Join the records of several cases into the one they share.

        Only the spacing (scans at their native resolution) and the program that wrote a file may differ from case to
        case; they then become "varies".

        Args:
            records: at least one.

        Raises:
            ValueError: when two cases were made in different ways; the message names the field.

        Example:
            >>> one, other = ScoreRecord(spacing=[1.0, 1.0]), ScoreRecord(spacing=[2.0, 2.0])
            >>> ScoreRecord.join([one, other]).spacing
            'varies'
        """
        joined: ScoreRecord | None = None
        for record in records:
            if joined is None:
                joined = record
                continue
            if not _same_spacing(joined.spacing, record.spacing):
                joined = replace(joined, spacing=VARIES)
            if joined.maps and record.maps and joined.maps.get(WRITTEN_BY) != record.maps.get(WRITTEN_BY):
                joined = replace(joined, maps={**joined.maps, WRITTEN_BY: VARIES})
            differing = joined.first_difference(record)
            if differing is not None:
                raise ValueError(
                    f"The scores of these cases were not made in one way: {differing.field} is {differing.expected!r} "
                    f"for some and {differing.got!r} for others. Calibrate on scores of one pipeline."
                )
        if joined is None:
            raise ValueError("Expected at least one record to join, but got none.")
        return joined

    def first_difference(self, got: ScoreRecord) -> ComparedField | None:
        """The first field in which another record differs from this one, the expected; None when nothing does.

        Numbers count as equal within a relative tolerance of 1e-3 in the spacing (headers round it) and exactly
        elsewhere; what is expected to vary equals anything.
        """
        return next((compared for compared in self.compared_with(got) if not compared.agrees), None)

    def compared_with(self, got: ScoreRecord) -> Iterator[ComparedField]:
        """Go through all fields that either record knows, as :py:meth:`first_difference` compares them."""
        for name in ("network", "maps", "inferer", "flips"):
            yield from _compared(name, getattr(self, name), getattr(got, name))
        kinds, got_kinds = ([step.kind for step in record.steps] for record in (self, got))
        if kinds != got_kinds:
            # First: only some steps record the spacing.
            yield ComparedField("steps", kinds or None, got_kinds or None, False)
        if self.spacing is not None or got.spacing is not None:
            agrees = self.spacing == VARIES or _same_spacing(self.spacing, got.spacing)
            yield ComparedField("spacing", self.spacing, got.spacing, agrees)
        if kinds == got_kinds:
            for number, (one, other) in enumerate(zip(self.steps, got.steps, strict=True)):
                # Numbered where a kind comes again, so that two walks can be told apart.
                again = kinds[: number + 1].count(one.kind) if kinds.count(one.kind) > 1 else 0
                name = f"{one.kind} {again}" if again else one.kind
                yield from _compared(name, one.compared(), other.compared())
        for name in ("dtype", "side"):
            yield from _compared(name, getattr(self, name), getattr(got, name))


UNRECORDED = ScoreRecord()
"""Of a score that nothing is known of."""


def _compared(name: str, one: Any, other: Any) -> Iterator[ComparedField]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for part in [*one, *(part for part in other if part not in one)]:
            yield from _compared(f"{name}.{part}", one.get(part), other.get(part))
    elif one is not None or other is not None:
        yield ComparedField(name, one, other, one == VARIES or bool(one == other))


def _same_spacing(one: Any, other: Any) -> bool:
    if not isinstance(one, list) or not isinstance(other, list):
        return bool(one == other)
    return len(one) == len(other) and all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(one, other, strict=True))
