"""The realised losses of several structures, tested with one rate of false alarms for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from monai_rwcp.monitoring.judged_cases import LossOfCase
from monai_rwcp.monitoring.realised_loss import RealisedLossMonitor, check_loss

__all__ = ["StructureLosses"]


class StructureLosses:
    """Test for each structure whether its mean loss is above what is tolerated.

    Args:
        tolerated: mean loss that is tolerated for each structure, by name.
        false_alarm_rate: in (0, 1), divided among the structures.

    Raises:
        ValueError: when a tolerated loss is not in (0, 1).

    Example:
        >>> losses = StructureLosses({"liver": 0.2}, false_alarm_rate=0.01)
        >>> losses.observe(LossOfCase("anna", "2026-01-01T00:00:00+00:00", {"liver": 0.1}))
        >>> losses.alarms
        {}
    """

    def __init__(self, tolerated: Mapping[str, float], false_alarm_rate: float) -> None:
        self.tolerated = dict(tolerated)
        self.monitors = {
            name: RealisedLossMonitor(value, false_alarm_rate / len(tolerated)) for name, value in tolerated.items()
        }
        self.cases: dict[str, LossOfCase] = {}

    @property
    def alarms(self) -> dict[str, int]:
        """Structures whose loss is above what is tolerated, and after how many cases that was certain."""
        return {name: m.alarmed_after for name, m in self.monitors.items() if m.alarmed_after is not None}

    def in_words(self, unit: str) -> str:
        """A sentence for each structure whose loss is too high, with a space before it."""
        return "".join(
            f" {name}: after {after} labelled {unit}s the mean loss is above {self.tolerated[name]:g}."
            for name, after in self.alarms.items()
        )

    def check(self, losses: Mapping[str, float]) -> None:
        """Refuse losses of structures that are not tested, and what is no loss.

        Raises:
            ValueError: when no tolerated loss was given for a structure, or a loss is not in [0, 1].
        """
        unknown = [name for name in losses if name not in self.monitors]
        if unknown:
            raise ValueError(
                f"Expected losses of {list(self.monitors)}, for which `tolerated` was given, but got one of "
                f"{unknown[0]!r}. The structures must be named before the first loss is seen."
            )
        for loss in losses.values():
            check_loss(loss)

    def observe(self, case: LossOfCase) -> None:
        """Take the losses of the next case."""
        self.check(case.losses)
        for name, loss in case.losses.items():
            self.monitors[name].observe(loss)
        self.cases[case.case] = case

    def to_document(self) -> dict[str, Any]:
        """What is known of each structure, for people."""
        return {
            name: {
                "n": len(m.losses),
                "mean": fmean(m.losses) if m.losses else None,
                "lower_bound": m.lower_bound(),
                "martingale": m.capital,
                "above_tolerated_after": m.alarmed_after,
            }
            for name, m in self.monitors.items()
        }
