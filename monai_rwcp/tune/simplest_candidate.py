"""The simplest candidate that is as good as the best up to one standard error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from monai_rwcp.scores.choice import KINDS, Score
from monai_rwcp.tune.choice import CandidateResult, Choice
from monai_rwcp.tune.objectives import Objective
from monai_rwcp.tune.small_structures import SmallStructures

__all__ = ["ComparedValue", "bootstrap_weights", "choose_simplest"]

# A simpler kind is taken unless it is worse in this share of the bootstrap draws: one standard error of a difference
# that scatters normally. Set sizes have heavy tails, which would widen a standard error until anything passes.
_ONE_STANDARD_ERROR = NormalDist().cdf(1)


@dataclass(frozen=True)
class ComparedValue:
    """How tight the sets of a candidate are, over the units and over each bootstrap draw of them.

    Args:
        value: mean of the objective over classes and units; nan where no unit shows any class.
        drawn: the same for each draw, float ``[draws]``.
        thresholds: by class, at which its sets were made.
        small: what it does to small structures, compared with plain scores; None where that is not asked for.
    """

    value: float
    drawn: np.ndarray
    thresholds: dict[int, float]
    small: SmallStructures | None = None


def bootstrap_weights(n_units: int, draws: int, seed: int) -> np.ndarray:
    """Draw units with replacement, and count how often each is drawn.

    Args:
        n_units: number of units.
        draws: number of draws, at least 2.
        seed: of the draws.

    Returns:
        int64 ``[draws, n_units]``.

    Raises:
        ValueError: when ``draws`` is no whole number of at least 2.

    Example:
        >>> bootstrap_weights(3, draws=2, seed=0).sum(axis=1).tolist()
        [3, 3]
    """
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 2:
        raise ValueError(f"Expected `draws` to be a whole number of at least 2, but got {draws!r}.")
    picks = np.random.default_rng(seed).integers(0, n_units, size=(draws, n_units))
    return np.stack([np.bincount(row, minlength=n_units) for row in picks])


def choose_simplest(
    compared: Mapping[Score, ComparedValue], alpha: float, objective: Objective, units: tuple[str, ...]
) -> Choice:
    """Rank candidates by their values, with what they are worse by and how surely, and take the simplest.

    Those that harm small structures come last, and are neither the best nor taken.

    Args:
        compared: the value of each candidate on the same units and draws.
        alpha: share of the truth that the compared sets miss.
        objective: what was compared.
        units: names of the units.

    Raises:
        ValueError: when a value is nan, or every candidate harms small structures.
    """
    sign = -1.0 if objective == "dice" else 1.0
    if any(np.isnan(of.value) for of in compared.values()):
        raise ValueError("No tuning unit shows any class, so there is nothing to compare sets by.")
    harmful = {candidate for candidate, of in compared.items() if of.small is not None and of.small.is_harmful}
    order = sorted(compared, key=lambda c: (c in harmful, sign * compared[c].value, KINDS.index(type(c))))
    best = order[0]
    if best in harmful:
        raise ValueError("Every candidate harms small structures. Let PlainScore() take part, which cannot.")
    results = []
    for candidate in order:
        own = compared[candidate]
        apart = sign * (own.drawn - compared[best].drawn)
        known = apart[~np.isnan(apart)]
        error = 0.0 if candidate is best else float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")
        worse_in = float((known > 0).mean())
        difference = max(0.0, sign * (own.value - compared[best].value))
        results.append(CandidateResult(candidate, own.value, difference, error, worse_in, own.thresholds, own.small))
    chosen, why = _simplest(results)
    return Choice(chosen, tuple(results), float(alpha), objective, units, why)


def _simplest(results: list[CandidateResult]) -> tuple[Score, str]:
    best = results[0]
    for kind in (way.kind for way in KINDS):
        fit = (result for result in results if result.candidate.kind == kind and not result.is_harmful)
        of_kind = next(fit, None)
        if of_kind is None:
            continue
        if of_kind is best:
            return best.candidate, f"{best.candidate.name} is best, and no simpler kind is within one standard error."
        if of_kind.worse_in < _ONE_STANDARD_ERROR:
            return of_kind.candidate, (
                f"{of_kind.candidate.name} is the simplest within one standard error of the best: "
                f"{of_kind.value:.3f} against {best.value:.3f} of {best.candidate.name}, difference "
                f"{of_kind.difference:.3f}, and worse in {of_kind.worse_in:.0%} of the bootstrap draws "
                "(84% is one standard error)."
            )
    raise AssertionError("the best is of one of the kinds")
