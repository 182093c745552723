"""Is the promise still alive? Watching deployed cases, and later their losses, for a change since the calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from monai_rwcp.monitoring.betting import check_rate
from monai_rwcp.monitoring.case_summaries import CaseSummaries, check_summary
from monai_rwcp.monitoring.exchangeability import ExchangeabilityMartingale, fewest_cases_to_alarm, tie_breakers
from monai_rwcp.monitoring.judged_cases import LossOfCase, MonitoredCase
from monai_rwcp.monitoring.monitor_file import MONITOR_DOCUMENT, alarm_to_document, check_settings_for_life
from monai_rwcp.monitoring.monitor_words import verdict_in_words
from monai_rwcp.monitoring.structure_losses import StructureLosses
from monai_rwcp.utils.json_documents import write_json
from monai_rwcp.utils.names import name_as_text
from monai_rwcp.utils.times import utc_now

__all__ = ["ExchangeabilityMonitor", "MonitorVerdict"]

MonitorVerdict = Literal["too few cases", "no evidence of change", "the cases have changed"]
"""What the monitor says of all cases so far."""


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
        self._realised = StructureLosses(tolerated or {}, self.false_alarm_rate)
        self.tolerated = self._realised.tolerated
        self.losses = self._realised.cases
        """Every case with known losses by its name, in order."""
        self.loss_monitors = self._realised.monitors
        """The test of each structure's realised loss."""
        self._fewest = fewest_cases_to_alarm(len(units), len(self.martingales) / self.false_alarm_rate)

    @property
    def martingale(self) -> float:
        """Present value, the largest of the summaries' martingales over their number."""
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
        return self._realised.alarms

    @property
    def in_words(self) -> str:
        """The verdict in plain words."""
        n, unit = len(self.cases), self.reference.unit_name
        against = f"the {len(self._calibration_cases)} {unit}s of the calibration"
        words = verdict_in_words(n, unit, against, self._fewest, self.alarmed_after, self.causes)
        return words + self._realised.in_words(unit)

    def observe(self, case: str, summaries: Mapping[str, float], date: str | None = None) -> bool:
        """Judge the next case.

        Args:
            case: name of the case, which tells whether it was judged before.
            summaries: its summary, as those of the reference; finite.
            date: when, UTC, ISO 8601; None takes now.

        Returns:
            whether it counted: False for a case that was judged before, or was a calibration case.

        Raises:
            ValueError: when the name is missing, or the summary is not finite or is not of the reference's kind.
        """
        case = name_as_text(case, "`case`")
        check_summary(summaries, self.reference.names, f"case {case!r}")
        if case in self._calibration_cases:
            if case not in self.left_out:
                self.left_out.append(case)
            return False
        if case in self.cases:
            return False
        ties = tie_breakers(self.seed, len(self.cases), len(self.martingales))
        p_values = {
            name: martingale.observe(float(summaries[name]), tie)
            for (name, martingale), tie in zip(self.martingales.items(), ties, strict=True)
        }
        self.cases[case] = MonitoredCase(case, date or utc_now(), dict(summaries), p_values, self.martingale)
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
            ValueError: when the name is missing, a structure has no tolerated loss, or a loss is not in [0, 1].
        """
        case = name_as_text(case, "`case`")
        self._realised.check(losses)
        if case in self._calibration_cases or case in self.losses:
            return False
        self._realised.observe(LossOfCase(case, date or utc_now(), dict(losses)))
        return True

    def save(self, path: str | Path) -> None:
        """Write verdict, cases and p-values as JSON; the file appears whole or not at all.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
        """
        cases, losses = list(self.cases.values()), list(self.losses.values())
        document = {
            "verdict": self.verdict,
            "in_words": self.in_words,
            "date": max([case.date for case in cases] + [case.date for case in losses], default=None),
            "n_cases": len(cases),
            "martingale": self.martingale,
            "highest_martingale": max((case.martingale for case in cases), default=1 / len(self.martingales)),
            "alarm_at": 1 / self.false_alarm_rate,
            "alarm": alarm_to_document(self.alarmed_after, self.causes, cases),
            "summaries": {
                name: {"martingale": m.capital, "direction": m.direction} for name, m in self.martingales.items()
            },
            "realised_loss": self._realised.to_document(),
            **self._settings_for_life(),
            "left_out": self.left_out,
            "cases": [asdict(case) for case in cases],
            "losses": [asdict(case) for case in losses],
        }
        write_json(MONITOR_DOCUMENT.signed(document), path)

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
        monitor = cls(reference, false_alarm_rate=false_alarm_rate, seed=seed, tolerated=tolerated)
        document = MONITOR_DOCUMENT.read(path)
        check_settings_for_life(document, monitor._settings_for_life(), path)
        with MONITOR_DOCUMENT.contents_of(path):
            for case in document["cases"]:
                monitor.observe(case["case"], case["summaries"], case["date"])
            for case in document["losses"]:
                monitor.observe_loss(case["case"], case["losses"], case["date"])
            monitor.left_out = list(document["left_out"])
        return monitor

    def _settings_for_life(self) -> dict[str, Any]:
        return {
            "reference": {"digest": self.reference.digest, "n": len(self.reference.units)},
            "false_alarm_rate": self.false_alarm_rate,
            "seed": self.seed,
            "tolerated": self.tolerated,
        }
