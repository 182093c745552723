"""The monitor's JSON form: the verdict for people, and all it takes to continue."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from monai_rwcp.utils.json_documents import check_document, digest, read_json, write_json

if TYPE_CHECKING:
    from monai_rwcp.monitoring.monitor import ExchangeabilityMonitor

__all__ = ["replay", "write_monitor"]

_FORMAT = "monai_rwcp.monitor"
_VERSION = 1


def write_monitor(monitor: ExchangeabilityMonitor, path: str | Path) -> None:
    """Write a monitor's verdict and cases; the file appears whole or not at all."""
    write_json(_document(monitor), path)


def replay(monitor: ExchangeabilityMonitor, path: str | Path) -> None:
    """Show a new monitor all cases and losses in a file, in their order.

    Raises:
        FileNotFoundError: when there is no file.
        ValueError: when it holds something else, was edited, or belongs to another monitor.
    """
    document = read_json(path, "monitor", "Run the evaluator with ExchangeabilityMonitorHandler first")
    check_document(document, path, what="monitor", kind=_FORMAT, version=_VERSION)
    for name, value in _settings_for_life(monitor).items():
        if document.get(name) != value:
            raise ValueError(
                f"'{path}' belongs to another monitor: its {name} is {document.get(name)!r}, but {value!r} was given. "
                "A monitor keeps its reference and settings for life; give those it was begun with, or begin a new "
                "one under another path."
            )
    try:
        for case in document["cases"]:
            monitor.observe(case["case"], case["summaries"], case["date"])
        for case in document["losses"]:
            monitor.observe_loss(case["case"], case["losses"], case["date"])
        monitor.left_out = list(document["left_out"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The monitor '{path}' lacks a field or has one of the wrong kind: {error}.") from error


def _settings_for_life(monitor: ExchangeabilityMonitor) -> dict[str, Any]:
    return {
        "reference": {"digest": monitor.reference.digest, "n": len(monitor.reference.units)},
        "false_alarm_rate": monitor.false_alarm_rate,
        "seed": monitor.seed,
        "tolerated": monitor.tolerated,
    }


def _document(monitor: ExchangeabilityMonitor) -> dict[str, Any]:
    cases, losses = list(monitor.cases.values()), list(monitor.losses.values())
    alarm = None
    if monitor.alarmed_after is not None:
        at = cases[monitor.alarmed_after - 1]
        alarm = {"after": monitor.alarmed_after, "case": at.case, "date": at.date, "causes": monitor.causes}
    document: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "verdict": monitor.verdict,
        "in_words": monitor.in_words,
        "date": max([case.date for case in cases] + [case.date for case in losses], default=None),
        "n_cases": len(cases),
        "martingale": monitor.martingale,
        "highest_martingale": max((case.martingale for case in cases), default=1 / len(monitor.martingales)),
        "alarm_at": 1 / monitor.false_alarm_rate,
        "alarm": alarm,
        "summaries": {
            name: {"martingale": m.capital, "direction": m.direction} for name, m in monitor.martingales.items()
        },
        "realised_loss": {
            name: {
                "n": len(m.losses),
                "mean": fmean(m.losses) if m.losses else None,
                "lower_bound": m.lower_bound(),
                "martingale": m.capital,
                "above_tolerated_after": m.alarmed_after,
            }
            for name, m in monitor.loss_monitors.items()
        },
        **_settings_for_life(monitor),
        "left_out": monitor.left_out,
        "cases": [
            {
                "case": case.case,
                "date": case.date,
                "martingale": case.martingale,
                "p_values": dict(case.p_values),
                "summaries": dict(case.summaries),
            }
            for case in cases
        ],
        "losses": [{"case": case.case, "date": case.date, "losses": dict(case.losses)} for case in losses],
    }
    document["digest"] = digest(document)
    return document
