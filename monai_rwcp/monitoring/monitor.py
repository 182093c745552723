"""Is the promise still alive? Watching deployed cases, and later their losses, for a change since the calibration."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from monai_rwcp.monitoring.betting import check_rate
from monai_rwcp.monitoring.case_summaries import CaseSummaries, check_summary
from monai_rwcp.monitoring.exchangeability import ExchangeabilityMartingale, fewest_cases_to_alarm
from monai_rwcp.monitoring.realised_loss import RealisedLossMonitor, check_loss

__all__ = ["ExchangeabilityMonitor", "LossOfCase", "MonitoredCase", "MonitorVerdict"]

MonitorVerdict = Literal["too few cases", "no evidence of change", "the cases have changed"]


@dataclass(frozen=True)
class MonitoredCase:
    """A deployed case as the monitor saw it.

    Args:
        case: name of the unit (the patient).
        date: when it was judged, UTC, ISO 8601.
        summaries: its summary.
        p_values: its p-value for each summary, in (0, 1).
        martingale: the monitor's value after it.
    """

    case: str
    date: str
    summaries: Mapping[str, float]
    p_values: Mapping[str, float]
    martingale: float


@dataclass(frozen=True)
class LossOfCase:
    """The losses of a deployed case, once its label was known.

    Args:
        case: name of the unit (the patient).
        date: when they were counted, UTC, ISO 8601.
        losses: loss of each structure that counts for it, in [0, 1].
    """

    case: str
    date: str
    losses: Mapping[str, float]


class ExchangeabilityMonitor:
    r"""Compare the stream of deployed cases with the calibration cases, and realised losses with what is tolerated.

    Each of the :math:`K` summaries has an :py:class:`ExchangeabilityMartingale` :math:`M^k` of its own. The monitor's
    value is

    .. math:: M_n = \max_k M^k_n \,/\, K

    and it raises the alarm for good when :math:`M_n \ge 1/r`. While calibration and deployed cases are exchangeable,
    that ever happens with probability at most :math:`r`: each :math:`M^k` reaches :math:`K/r` with probability at most
    :math:`r/K`. (The mean of the :math:`M^k` would not do: the p-values of different summaries do not share one past,
    in which the mean would be a martingale.) Realised losses are a second question, with a second alarm of the same
    rate, divided among the structures.

    A case is what is exchangeable, the calibration's unit, and counts once. Cases of the calibration itself are left
    out: they have been counted already.

    Args:
        reference: summaries of the calibration cases.
        false_alarm_rate: :math:`r` in (0, 1), for the whole life of the monitor.
        seed: of the random numbers that break ties between equal summaries; choose it once, before the first case.
        tolerated: mean loss that is tolerated for each structure, by name; see :py:class:`RealisedLossMonitor`.

    Raises:
        ValueError: when a rate or tolerated loss is not in (0, 1).

    Example:
        >>> from monai_rwcp.monitoring import CaseSummaries, ImageSummary
        >>> reference = CaseSummaries({f"c{i}": ImageSummary(f"c{i}", {"uncertainty": 0.01 * i}) for i in range(40)})
        >>> monitor = ExchangeabilityMonitor(reference)
        >>> for i in range(12):
        ...     _ = monitor.observe(f"new {i}", {"uncertainty": 0.5})
        >>> monitor.verdict, monitor.alarmed_after, monitor.causes
        ('the cases have changed', 6, {'uncertainty': 'higher'})
    """

    def __init__(
        self,
        reference: CaseSummaries,
        *,
        false_alarm_rate: float = 0.01,
        seed: int = 0,
        tolerated: Mapping[str, float] | None = None,
    ) -> None:
        check_rate(false_alarm_rate)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"Expected `seed` to be a whole number of at least 0, but got {seed!r}.")
        self.reference = reference
        self.false_alarm_rate = float(false_alarm_rate)
        self.seed = seed
        self.cases: dict[str, MonitoredCase] = {}
        """Every judged case by its name, in order."""
        self.losses: dict[str, LossOfCase] = {}
        """Every case with known losses by its name, in order."""
        self.left_out: list[str] = []
        """Names of cases that were not judged because they were calibration cases."""
        self.alarmed_after: int | None = None
        """Number of cases after which the alarm was raised; None while it was not."""
        self.causes: dict[str, str] = {}
        """The summaries that raised the alarm, and whether they became "higher" or "lower"."""
        units = reference.units
        self._calibration_cases = frozenset(units)
        self.martingales = {
            name: ExchangeabilityMartingale([unit[name] for unit in units.values()]) for name in reference.names
        }
        """The martingale of each summary."""
        self.tolerated = dict(tolerated or {})
        self.loss_monitors = {
            name: RealisedLossMonitor(value, self.false_alarm_rate / len(self.tolerated))
            for name, value in self.tolerated.items()
        }
        """The test of each structure's realised loss."""
        self._fewest = fewest_cases_to_alarm(len(units), len(self.martingales) / self.false_alarm_rate)

    @property
    def martingale(self) -> float:
        """Present value: the largest of the summaries' martingales over their number."""
        return max(m.capital for m in self.martingales.values()) / len(self.martingales)

    @property
    def verdict(self) -> MonitorVerdict:
        """What can be said about the cases so far."""
        if self.alarmed_after is not None:
            return "the cases have changed"
        return "too few cases" if len(self.cases) < self._fewest else "no evidence of change"

    @property
    def loss_alarms(self) -> dict[str, int]:
        """Structures whose realised loss is above what is tolerated, and after how many cases that was certain."""
        return {name: m.alarmed_after for name, m in self.loss_monitors.items() if m.alarmed_after is not None}

    @property
    def in_words(self) -> str:
        """The verdict in plain words."""
        n, unit = len(self.cases), self.reference.unit_name
        against = f"the {len(self._calibration_cases)} {unit}s of the calibration"
        if self.alarmed_after is not None:
            causes = ", ".join(f"{name} is {direction}" for name, direction in self.causes.items())
            words = (
                f"After {self.alarmed_after} {unit}s: they no longer look like {against} ({causes}). The promise is "
                "about cases like those and no longer covers these; find the cause, and calibrate anew."
            )
        elif n < self._fewest:
            words = f"{n} {unit}s so far; before {self._fewest} no change could be told from {against}."
        else:
            words = f"{n} {unit}s so far, with no evidence that they differ from {against}."
        for name, after in self.loss_alarms.items():
            words += f" {name}: after {after} labelled {unit}s the mean loss is above {self.tolerated[name]:g}."
        return words

    def observe(self, case: str, summaries: Mapping[str, float], date: str | None = None) -> bool:
        """Judge the next case.

        Args:
            case: name of the case, which tells whether it was judged before.
            summaries: its summary, as those of the reference; finite.
            date: when, UTC, ISO 8601; None takes now.

        Returns:
            whether it counted: False for a case that was judged before, or was a calibration case.

        Raises:
            ValueError: when the summary is not finite or is not of the reference's kind.
        """
        check_summary(summaries, self.reference.names, f"case {case!r}")
        if case in self._calibration_cases:
            if case not in self.left_out:
                self.left_out.append(case)
            return False
        if case in self.cases:
            return False
        # The numbers that break ties depend on the seed and the position only, so a restarted monitor draws the same.
        # Halves of whole numbers: never 0 or 1.
        random = np.random.default_rng([self.seed, len(self.cases)])
        ties = (random.integers(2**32, size=len(self.martingales)) + 0.5) / 2**32
        p_values = {
            name: martingale.observe(float(summaries[name]), float(tie))
            for (name, martingale), tie in zip(self.martingales.items(), ties, strict=True)
        }
        self.cases[case] = MonitoredCase(case, date or _now(), dict(summaries), p_values, self.martingale)
        if self.alarmed_after is None and self.martingale >= 1 / self.false_alarm_rate:
            self.alarmed_after = len(self.cases)
            enough = len(self.martingales) / self.false_alarm_rate
            self.causes = {name: m.direction for name, m in self.martingales.items() if m.capital >= enough}
        return True

    def observe_loss(self, case: str, losses: Mapping[str, float], date: str | None = None) -> bool:
        """Take the losses of a case whose label has become known.

        Which cases are labelled, and in which order, must not depend on how good their sets look: labels of the worst
        cases first would raise an alarm without a cause.

        Args:
            case: name of the case, which need not have been judged.
            losses: loss in [0, 1] of each structure that counts for the case.
            date: when, UTC, ISO 8601; None takes now.

        Returns:
            whether it counted: False for a case whose losses were counted before, or that was a calibration case.

        Raises:
            ValueError: when no tolerated loss was given for a structure, or a loss is not in [0, 1].
        """
        unknown = [name for name in losses if name not in self.loss_monitors]
        if unknown:
            raise ValueError(
                f"Expected losses of {list(self.loss_monitors)}, for which `tolerated` was given, but got one of "
                f"{unknown[0]!r}. The structures must be named before the first loss is seen."
            )
        for loss in losses.values():
            check_loss(loss)
        if case in self._calibration_cases or case in self.losses:
            return False
        for name, loss in losses.items():
            self.loss_monitors[name].observe(loss)
        self.losses[case] = LossOfCase(case, date or _now(), dict(losses))
        return True

    def save(self, path: str | Path) -> None:
        """Write verdict, cases and p-values as JSON; the file appears whole or not at all.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
        """
        from monai_rwcp.monitoring import monitor_file

        monitor_file.write_monitor(self, path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        reference: CaseSummaries,
        *,
        false_alarm_rate: float = 0.01,
        seed: int = 0,
        tolerated: Mapping[str, float] | None = None,
    ) -> ExchangeabilityMonitor:
        """Continue a monitor from its file.

        Everything is computed anew from the stored summaries and losses, so the file cannot contradict itself.

        Args:
            path: a file written by :py:meth:`save`.
            reference, false_alarm_rate, seed, tolerated: as when it was begun.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it holds something else, was edited, or belongs to another reference, rate, seed or
                tolerated loss.
        """
        from monai_rwcp.monitoring import monitor_file

        monitor = cls(reference, false_alarm_rate=false_alarm_rate, seed=seed, tolerated=tolerated)
        monitor_file.replay(monitor, path)
        return monitor


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
