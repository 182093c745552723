"""Gathering a report case by case: figures of every case, slices of the worst so far, joined over processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.report.case_maps import CaseMaps, ReportCase, ShownCase, measured, shown
from monai_rwcp.report.html.page import report_page
from monai_rwcp.utils.processes import from_all, from_all_in_turn

__all__ = ["GatheredReport", "check_reportable"]


def check_reportable(calibration: Calibration) -> None:
    """Refuse a calibration whose sets are not made to hold the truth.

    Raises:
        ValueError: when its loss is one of excess.
    """
    if calibration.loss.of_excess:
        raise ValueError(
            f"Expected the calibration of outer sets, but its loss is {calibration.loss.name!r}, whose sets are inner "
            "ones. Report the outer sets with their calibration; inner sets are shown beside them."
        )


class GatheredReport:
    """Measure cases one after the other, and write their page.

    Of each case its figures are kept, and of the worst ones, by missed share, the slices: no volume stays in memory.

    Args:
        calibration: what the sets were made with.
        n_shown: how many of the worst sets are shown slice by slice, at least 0.

    Raises:
        ValueError: when ``n_shown`` is below 0, or the calibration is one of inner sets.
    """

    def __init__(self, calibration: Calibration, n_shown: int = 4) -> None:
        check_reportable(calibration)
        if n_shown < 0:
            raise ValueError(f"Expected `n_shown` from 0 on, but got {n_shown}.")
        self.calibration, self.n_shown = calibration, n_shown
        self._cases: dict[str, ReportCase] = {}
        self._worst: list[ShownCase] = []

    def add(self, case: CaseMaps) -> None:
        """Measure a case; one whose name is known already counts once.

        Raises:
            ValueError: when its maps do not fit, or its name stands for another case.
            ImportError: when matplotlib or scipy is missing.
        """
        found = measured(case, list(self.calibration.classes))
        if case.name in self._cases:
            _check_same(self._cases[case.name], found)
            return
        self._cases[case.name] = found
        for c, figures in found.figures.items():
            rate = figures.false_negative_rate
            # Equal ones keep their order, so that it does not depend on how many processes share the cases.
            place = sum(other.missed >= rate for other in self._worst)
            if figures.true and place < self.n_shown:
                self._worst = [*self._worst[:place], shown(case, c, rate), *self._worst[place:]][: self.n_shown]

    def joined(self) -> GatheredReport:
        """The cases of all processes, every one once; all processes have to call it.

        Raises:
            ValueError: when one name stands for two cases.
        """
        result = GatheredReport(self.calibration, self.n_shown)
        for case in from_all_in_turn(list(self._cases.values())):
            _check_same(result._cases.setdefault(case.name, case), case)
        order = {name: number for number, name in enumerate(result._cases)}
        worst = {(one.name, one.class_index): one for part in from_all(self._worst) for one in part}
        ranked = sorted(worst.values(), key=lambda one: (-one.missed, order[one.name], one.class_index))
        result._worst = ranked[: self.n_shown]
        return result

    def page(self, unit_name: str | None = None) -> str:
        """The page, HTML.

        Args:
            unit_name: what a unit of the cases is; None for what it was at calibration.

        Raises:
            ValueError: when there is no case, or some have a voxel size and others none.
            ImportError: when matplotlib or scipy is missing.
        """
        short = _short_names(list(self._cases))
        cases = [
            replace(case, name=short[case.name], unit=short[case.name] if case.unit == case.name else case.unit)
            for case in self._cases.values()
        ]
        return report_page(
            self.calibration, cases, [replace(one, name=short[one.name]) for one in self._worst], unit_name=unit_name
        )


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """Names that are paths without their folders, where that tells them apart."""
    last = {name: name.replace("\\", "/").rsplit("/", 1)[-1] for name in names}
    return last if len(set(last.values())) == len(last) else {name: name for name in names}


def _check_same(one: ReportCase, other: ReportCase) -> None:
    # Sets may differ by a voxel between devices, truths may not.
    own, others = (
        (case.unit, case.in_mm, case.stratum, [figures.true for figures in case.figures.values()])
        for case in (one, other)
    )
    if own != others:
        raise ValueError(
            f"The name {one.name!r} stands for two different images. Every image needs a name of its own, each slice "
            "and not each patient: give `case_key`."
        )
