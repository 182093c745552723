"""A monitor's verdict in plain words."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["verdict_in_words"]


def verdict_in_words(
    n: int, unit: str, against: str, fewest: int, alarmed_after: int | None, causes: Mapping[str, str]
) -> str:
    """Say what has become of a stream of cases.

    Args:
        n: number of cases so far.
        unit: what a case is, such as "patient".
        against: which cases they are compared with.
        fewest: number of cases before which no change could be told.
        alarmed_after, causes: see :py:class:`monai_rwcp.monitoring.ExchangeabilityMonitor`.

    Example:
        >>> verdict_in_words(2, "patient", "the 30 of the calibration", 6, None, {})
        '2 patients so far; before 6 no change could be told from the 30 of the calibration.'
    """
    if alarmed_after is not None:
        changed = ", ".join(f"{name} is {direction}" for name, direction in causes.items())
        return (
            f"After {alarmed_after} {unit}s: they no longer look like {against} ({changed}). The promise is about "
            "cases like those and no longer covers these; find the cause, and calibrate anew."
        )
    if n < fewest:
        return f"{n} {unit}s so far; before {fewest} no change could be told from {against}."
    return f"{n} {unit}s so far, with no evidence that they differ from {against}."
