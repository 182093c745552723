"""What tuning found: how each candidate did, which was chosen, and why."""

from __future__ import annotations

from dataclasses import dataclass

from monai_rwcp.scores.choice import Score
from monai_rwcp.tune.objectives import Objective
from monai_rwcp.tune.small_structures import SmallStructures

__all__ = ["CandidateResult", "Choice"]


@dataclass(frozen=True)
class CandidateResult:
    """How a candidate did.

    Args:
        candidate: which.
        value: mean of the objective over classes and units.
        difference: how much worse it is than the best, at least 0.
        standard_error: of the difference, by the bootstrap; 0 for the best.
        worse_in: share of the bootstrap draws in which it is worse than the best, in [0, 1]; 0 for the best.
        thresholds: by class, at which its sets miss ``alpha`` on these units; a class that none of them shows is left
            out.
        small: what it does to small structures, compared with plain scores; None where that was not asked for.
    """

    candidate: Score
    value: float
    difference: float
    standard_error: float
    worse_in: float
    thresholds: dict[int, float]
    small: SmallStructures | None = None

    @property
    def is_harmful(self) -> bool:
        """Whether it was not chosen from because it harms small structures."""
        return self.small is not None and self.small.is_harmful


@dataclass(frozen=True)
class Choice:
    """The outcome of tuning.

    Args:
        chosen: the candidate.
        results: of all candidates that were compared to the end, the best first, and those that harm small
            structures last.
        alpha: share of the truth that the compared sets miss.
        objective: what was compared.
        units: names of the units that were looked at; no calibration and no test may see them again.
        why: the reason in words.
    """

    chosen: Score
    results: tuple[CandidateResult, ...]
    alpha: float
    objective: Objective
    units: tuple[str, ...]
    why: str

    def __repr__(self) -> str:
        compared = f"of {len(self.results)} by {self.objective} at {self.alpha:g} on {len(self.units)} units"
        return f"Choice({self.chosen.name}, {compared})"
