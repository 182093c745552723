"""Dropping candidates after a part of the tuning units, so that the rest is seen by the better ones alone."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.plain import PlainScore
from monai_rwcp.tune.choosing import pooled_by, small_structures
from monai_rwcp.tune.curves import SetCurves
from monai_rwcp.tune.objectives import Objective
from monai_rwcp.tune.set_efficiency import efficiency

__all__ = ["KEPT", "WIDENED", "better_candidates", "first_units"]

_FIRST_PART = 3
# One of how many of a kind is tried with last steps, and one of how many goes on to the rest of the units.
WIDENED, KEPT = 8, 4


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


def better_candidates(
    curves: Mapping[Score, SetCurves],
    alpha: float,
    objective: Objective,
    owner: Mapping[str, str] | None = None,
    share: int = KEPT,
) -> list[Score]:
    """Keep the plain score and the better part of every other kind, in the order they were given.

    All are kept when no image shows one of the classes: a comparison on the other classes would drop candidates that
    nobody has seen at work on it. With ``"safe_stretch"`` those that harm small structures are dropped before others.

    Args:
        curves: counts of the same images, those seen by all, for each candidate.
        alpha: share of the truth that the compared sets miss.
        objective: ``"safe_stretch"``, ``"stretch"`` or ``"dice"``.
        owner: for each image its unit; None when each is a unit of its own.
        share: one of how many of a kind goes on.
    """
    shown = next(iter(curves.values())).true.any(axis=0)
    if not shown.all():
        return list(curves)
    sign = -1 if objective == "dice" else 1
    own = {c: efficiency(of, alpha, objective) for c, of in pooled_by(curves, owner).items()}
    images = next(iter(curves.values())).units
    owners = dict(zip(images, images, strict=True)) if owner is None else owner
    small = small_structures(curves, own, owners) if objective == "safe_stretch" else {}
    values = {c: (c in small and small[c].is_harmful, sign * float(of[0][0])) for c, of in own.items()}
    kept: set[Score] = {candidate for candidate in curves if candidate == PlainScore()}
    for kind in {c.kind for c in curves}:
        of_kind = sorted((c for c in curves if c.kind == kind), key=values.__getitem__)
        kept |= set(of_kind[: -(-len(of_kind) // share)])
    return [c for c in curves if c in kept]
