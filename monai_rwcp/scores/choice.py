"""All ways of making a score, and one of them from what a file keeps."""

from __future__ import annotations

from typing import Any

from monai_rwcp.scores.blurred import BlurredScore
from monai_rwcp.scores.plain import PlainScore
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.walk.settings import WalkSettings

__all__ = ["KINDS", "Score", "score_from"]

Score = PlainScore | BlurredScore | WalkedScore
"""Each makes a score of a map (``make``) and the record of it (``record``), and names itself (``name``)."""

KINDS: tuple[type[Score], ...] = (PlainScore, BlurredScore, WalkedScore)
"""From the simplest."""


def score_from(kind: str, settings: dict[str, Any]) -> Score:
    """Make a score's way of what a file kept of it.

    Raises:
        ValueError: when there is no such kind, or a setting is out of its range.
        TypeError: when a setting is missing or unknown.

    Example:
        >>> score_from("blur", {"sigma": 2.0})
        BlurredScore(sigma=2.0, keep_peak=False, keep_sure=None, size_exponent=0.0, size_reference=1.0)
    """
    if kind == WalkedScore.kind:
        walk = dict(settings)
        source = walk.pop("source", "features")
        return WalkedScore(WalkSettings(**walk), source)
    for simple in (PlainScore, BlurredScore):
        if kind == simple.kind:
            made: Score = simple(**settings)
            return made
    known = ", ".join(repr(way.kind) for way in KINDS)
    raise ValueError(f"Expected one of {known}, but got {kind!r}.")
