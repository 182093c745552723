"""Dropping candidates after a part of the tuning units, so that the rest is seen by the better ones alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from monai_rwcp.scores.choice import Score
from monai_rwcp.tune.curves import SetCurves
from monai_rwcp.tune.objectives import Objective
from monai_rwcp.tune.set_efficiency import efficiency

__all__ = ["better_candidates", "first_units"]

# After the first part of the units the better part of each kind goes on.
_FIRST_PART, _KEPT = 3, 4


def first_units(units: Sequence[str], seed: int) -> list[str]:
    """Draw the third of the units, and at least 2, that all candidates see.

    Args:
        units: names of the tuning units.
        seed: of the draw.

    Example:
        >>> len(first_units(["anna", "ben", "carl", "dora", "emil", "finn", "gina"], seed=0))
        2
    """
    order = random.Random(seed).sample(sorted(units), len(units))
    return order[: max(2, len(order) // _FIRST_PART)]


def better_candidates(curves: Mapping[Score, SetCurves], alpha: float, objective: Objective) -> list[Score]:
    """Keep the plain score and the better quarter of every other kind, in the order they were given.

    All are kept when no unit shows one of the classes: a comparison on the other classes would drop candidates that
    nobody has seen at work on it.

    Args:
        curves: counts of the same units, those seen by all, for each candidate.
        alpha: share of the truth that the compared sets miss, in [0, 1).
        objective: ``"stretch"`` or ``"dice"``.
    """
    shown = next(iter(curves.values())).true.any(axis=0)
    if not shown.all():
        return list(curves)
    sign = -1 if objective == "dice" else 1
    values = {c: sign * float(efficiency(of, alpha, objective)[0][0]) for c, of in curves.items()}
    kept = set()
    for kind in {c.kind for c in curves}:
        of_kind = sorted((c for c in curves if c.kind == kind), key=values.__getitem__)
        kept |= set(of_kind[: -(-len(of_kind) // _KEPT)])
    return [c for c in curves if c in kept]
