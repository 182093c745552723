"""What a monitor keeps of each case it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LossOfCase", "MonitoredCase"]


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
