"""The parts of a monitor's JSON form: the verdict for people, and all it takes to continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from monai_rwcp.monitoring.judged_cases import MonitoredCase
from monai_rwcp.utils.json_documents import DocumentKind

__all__ = [
    "MONITOR_DOCUMENT",
    "alarm_to_document",
    "check_settings_for_life",
]


class _Case(TypedDict):
    case: str
    date: str
    summaries: dict[str, float]


class _Losses(TypedDict):
    case: str
    date: str
    losses: dict[str, float]


class _Content(TypedDict):
    cases: list[_Case]
    losses: list[_Losses]
    left_out: list[Any]


MONITOR_DOCUMENT = DocumentKind(
    "monitor",
    "monai_rwcp.monitor",
    version=2,
    first_step="Run the evaluator with ExchangeabilityMonitorHandler first",
    anew="ExchangeabilityMonitorHandler over the same cases",
    content=_Content,
    earlier={1: "0.1"},
)


def check_settings_for_life(document: Mapping[str, Any], settings: Mapping[str, Any], path: str | Path) -> None:
    """Refuse a file of a monitor that was begun with another reference or other settings.

    Raises:
        ValueError: when it was; the message names the first that differs.
    """
    for name, value in settings.items():
        if document.get(name) != value:
            raise ValueError(
                f"'{path}' belongs to another monitor: its {name} is {document.get(name)!r}, but {value!r} was given. "
                "A monitor keeps its reference and settings for life; give those it was begun with, or begin a new "
                "one under another path."
            )


def alarm_to_document(
    after: int | None, causes: Mapping[str, str], cases: Sequence[MonitoredCase]
) -> dict[str, Any] | None:
    """When the alarm was raised and why, or None while it was not."""
    if after is None:
        return None
    at = cases[after - 1]
    return {"after": after, "case": at.case, "date": at.date, "causes": dict(causes)}
