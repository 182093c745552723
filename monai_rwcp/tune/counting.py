"""Counting the sets of every candidate in every case, round by round."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_rwcp.scores.choice import Score
from monai_rwcp.tune.cases import CaseKeys, ScoredCase
from monai_rwcp.tune.curves import SetCurves, set_curves

__all__ = ["CaseCounts"]


@dataclass
class CaseCounts:
    """What is counted so far.

    Args:
        cases: the items.
        owners: the unit of each.
        keys: where things are in them.
        unit_key: what a unit is called, for messages.
        include_background: whether channel 0 counts too.
        by_image: whether each case has a row of its own; else cases of a unit are added up as they come, so that
            memory grows with the units alone.
        counted: by candidate and row.
        warned: pairs of maps that were warned of.
    """

    cases: Sequence[Mapping[Hashable, Any]]
    owners: Sequence[str]
    keys: CaseKeys
    unit_key: str
    include_background: bool
    by_image: bool
    counted: dict[Score, dict[str, SetCurves]] = field(default_factory=dict)
    warned: set[tuple[str, str]] = field(default_factory=set)
    _in_mm: set[bool] = field(default_factory=set)
    _classes: tuple[int, ...] | None = None

    @property
    def owner(self) -> dict[str, str] | None:
        """For every row of :py:meth:`curves` its unit; None where rows are units."""
        return {str(number): owner for number, owner in enumerate(self.owners)} if self.by_image else None

    def curves(self, candidates: Iterable[Score], numbers: Iterable[int]) -> dict[Score, SetCurves]:
        """Counts of some candidates in some cases, all cases of a unit or none."""
        rows = dict.fromkeys(map(self._row, numbers))
        return {c: SetCurves.join(self.counted[c][row] for row in rows) for c in candidates}

    def drop_others(self, candidates: Iterable[Score]) -> None:
        """Forget what was counted of all candidates but these."""
        kept = set(candidates)
        self.counted = {candidate: of for candidate, of in self.counted.items() if candidate in kept}

    def count(self, numbers: Iterable[int], candidates: Sequence[Score], advance: Callable[[int], object]) -> None:
        """Count some candidates in some cases.

        Args:
            numbers: which cases.
            candidates: which candidates.
            advance: called after each case.

        Raises:
            ValueError: when a case does not fit; the message names it.
        """
        for number in numbers:
            try:
                self._count_case(number, candidates)
            except ValueError as error:
                raise ValueError(
                    f"Case {number}, score '{self.keys.score}', label '{self.keys.label}', {self.unit_key} "
                    f"'{self.owners[number]}': {error}"
                ) from error
            advance(1)

    def _count_case(self, number: int, candidates: Sequence[Score]) -> None:
        case = ScoredCase.of(self.cases[number], number, candidates, self.keys, self.warned)
        self._in_mm.add(case.voxel is not None)
        if len(self._in_mm) > 1:
            raise ValueError(
                "Some maps tell their voxel size and others do not, so that walks and distances would mix mm "
                "and voxels. Load all of them as MetaTensor, or none."
            )
        for candidate, made in case.scores:
            of_case = set_curves(
                made,
                case.label,
                unit=self._row(number),
                label_mode=self.keys.label_mode,
                include_background=self.include_background,
                mask=case.mask,
            )
            self._classes = of_case.classes if self._classes is None else self._classes
            if of_case.classes != self._classes:
                raise ValueError(
                    f"Expected the classes {list(self._classes)}, as in the cases before, but got "
                    f"{list(of_case.classes)}. All maps have to come from one network."
                )
            of_rows, row = self.counted.setdefault(candidate, {}), self._row(number)
            of_rows[row] = of_rows[row].plus(of_case) if row in of_rows else of_case

    def _row(self, number: int) -> str:
        return str(number) if self.by_image else self.owners[number]
