"""How scores were made, in the few words that a segmentation object has room for."""

from __future__ import annotations

import json
from typing import Any

from monai_rwcp.dicom.texts import LINE
from monai_rwcp.provenance.record import RecordedStep, ScoreRecord

__all__ = ["made_in_full", "scores_in_words"]

_DONE = {"blur": "blurred", "walk": "random-walk"}


def scores_in_words(record: ScoreRecord) -> str:
    """Name the scores by what was done to the network's map, in at most 40 characters.

    Example:
        >>> scores_in_words(ScoreRecord(network="sha256:12", steps=(RecordedStep("blur", {"sigma": 2}),)))
        'blurred scores'
        >>> scores_in_words(ScoreRecord(network="sha256:12")), scores_in_words(ScoreRecord())
        ('plain scores', 'scores of unrecorded making')
    """
    if not record.steps:
        return "plain scores" if record.is_recorded else "scores of unrecorded making"
    words = ", ".join(_DONE.get(step.kind, step.kind) for step in record.steps) + " scores"
    return words if len(words) <= LINE - 24 else f"scores of {len(record.steps)} steps"


def made_in_full(record: ScoreRecord) -> str:
    """Say what was done to the network's map, with all settings.

    Example:
        >>> made_in_full(ScoreRecord(network="sha256:12", steps=(RecordedStep("blur", {"sigma": 2}),)))
        "Done to the network's map: blur (sigma=2)."
    """
    if record.steps:
        return f"Done to the network's map: {', then '.join(_step(step) for step in record.steps)}."
    if record.is_recorded:
        return "Nothing was done to the network's map (plain scores)."
    return "It is not recorded how the scores were made."


def _step(step: RecordedStep) -> str:
    settings = ", ".join(f"{name}={_value(value)}" for name, value in step.settings.items())
    return f"{step.kind} ({settings})" if settings else step.kind


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
