"""Choosing among candidates on a tuning split, patient by patient."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.scores.choice import KINDS, Score
from monai_rwcp.scores.plain import PlainScore
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.tune.candidates import default_candidates, with_last_steps
from monai_rwcp.tune.cases import CaseKeys, ScoredCase, case_owner, keys_of_sources, names_of_units
from monai_rwcp.tune.choice import Choice
from monai_rwcp.tune.choosing import choose, choose_by_distance, of_unseen_classes
from monai_rwcp.tune.counting import CaseCounts
from monai_rwcp.tune.distances import finalists, mean_by_unit, set_distances
from monai_rwcp.tune.halving import KEPT, WIDENED, better_candidates, first_units
from monai_rwcp.tune.objectives import Objective, check_comparison, working_level
from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.progress import shown_progress

__all__ = ["tune_settings"]


def tune_settings(
    cases: Sequence[Mapping[Hashable, Any]],
    *,
    alpha: float = 0.1,
    n_calibration: int | None = None,
    candidates: Sequence[Score] | None = None,
    objective: Objective = "stretch",
    score_key: str = "pred",
    label_key: str = "label",
    unit_key: str = "patient",
    mask_key: str | None = None,
    feature_keys: Mapping[str, str] | None = None,
    label_mode: LabelMode = "index",
    include_background: bool = False,
    keep_apart: Collection[str] = (),
    seed: int = 0,
    progress: bool = False,
) -> Choice:
    r"""Choose how a score is made, on patients that are neither calibrated nor tested on.

    Every candidate makes its sets at the threshold at which they miss the same share of the truth of these patients;
    the candidate with the tightest sets wins, but a simpler kind (plain, then blur, then walk) is taken when it is as
    good up to one standard error, see :py:func:`choose`. The share is the one at which a calibration on n patients
    will work, which for few patients is far below what it promises:

    .. math:: ((n + 1) \alpha - 1) / n

    A third of the units is seen by all candidates; the better quarter of each kind, and always the plain score, goes
    on to the rest, and is compared on all of them. Where the third does not show every class, all go on. With
    ``"safe_stretch"`` the better eighth of each kind is tried with several last steps (:py:func:`with_last_steps`) on
    the same third before.

    Args:
        cases: item dictionaries, such as a MONAI `Dataset` gives: scores, labels, features and names of units. Each is
            asked for up to three times, and once more for distances.
        alpha: highest expected false negative rate that will be promised, in (0, 1).
        n_calibration: on how many units it will be calibrated; None compares at ``alpha``, as for very many.
        candidates: what is compared; None takes :py:func:`default_candidates` with every source of ``feature_keys``.
        objective: ``"stretch"`` (size of set over size of truth); ``"safe_stretch"``, the same among candidates that
            do no harm to small structures, see :py:class:`SmallStructures`; ``"dice"``; or
            ``"hausdorff_distance_95"``: the four
            best of each kind by stretch are measured in mm (voxels for maps without meta data), image by image, and an
            empty set is as far off as the image's diagonal.
        score_key: key of the probabilities ``[C, *spatial]``.
        label_key: key of the truth.
        unit_key: key of the unit's name (the patient).
        mask_key: key of a mask ``[1, *spatial]`` that is not 0 where voxels count; None counts all.
        feature_keys: for every source of features its key; None takes ``{"features": "features"}``.
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"``.
        include_background: whether channel 0 counts too.
        keep_apart: names of the units that will be calibrated or tested on; none of them may be among these.
        seed: of the order of the units and of the bootstrap.
        progress: whether a progress bar is shown.

    Returns:
        the choice; :py:class:`TunedSettings` keeps it in a file.

    Raises:
        ImportError: when distances are asked for and scipy is missing.
        KeyError: when a case has no such key.
        TypeError: when a case is no dictionary of arrays, or ``feature_keys`` no mapping.
        ValueError: when a unit has no name or is to be kept apart, there are fewer than 2 units, ``n_calibration``
            units cannot keep ``alpha``, or a case or an argument does not fit; the message names the case.

    Example:
        >>> import torch
        >>> from monai_rwcp.scores import BlurredScore, PlainScore
        >>> cases = [{"pred": torch.rand(2, 8, 8), "label": torch.ones(1, 8, 8), "patient": i} for i in range(4)]
        >>> choice = tune_settings(cases, candidates=[PlainScore(), BlurredScore(1.0)])
        >>> len(choice.results)
        2
    """
    check_comparison(alpha, objective)
    level = alpha if n_calibration is None else working_level(alpha, n_calibration)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"Expected `seed` to be a whole number from 0 on, but got {seed!r}.")
    if objective == "hausdorff_distance_95":
        with needed("Tuning by distance needs", "report", "scipy"):
            import_module("scipy")
    sources = keys_of_sources(feature_keys)
    everyone = default_candidates(tuple(sources)) if candidates is None else _checked(candidates)
    unknown = sorted({c.source for c in everyone if isinstance(c, WalkedScore)} - sources.keys())
    if unknown:
        raise ValueError(f"Candidates walk by the features {unknown}, but `feature_keys` names only {sorted(sources)}.")
    owners = [case_owner(case, i, unit_key) for i, case in enumerate(cases)]
    units = sorted(set(owners))
    shared = sorted(set(units) & names_of_units(keep_apart, "`keep_apart`"))
    if shared:
        raise ValueError(
            f"Expected tuning units that are kept apart from calibration and test, but {shared[:5]} ({len(shared)} in "
            "all) are in both. Settings that were fitted to a case flatter it: split the patients three ways."
        )
    if len(units) < 2:
        raise ValueError(f"Expected at least 2 tuning units, but got {units}.")
    keys = CaseKeys(score_key, label_key, mask_key, sources, label_mode)
    # Distances are measured of the few best by stretch.
    ranked: Objective = "stretch" if objective == "hausdorff_distance_95" else objective
    safe = ranked == "safe_stretch"
    if safe:
        # What small structures lose is compared with it.
        everyone = list(dict.fromkeys([PlainScore(), *everyone]))
    counts = CaseCounts(cases, owners, keys, unit_key, include_background, by_image=safe)
    first = set(first_units(units, seed))
    early, late = ([i for i, owner in enumerate(owners) if (owner in first) == is_first] for is_first in (True, False))
    with shown_progress(len(cases) + safe * len(early), progress, "tune", "case") as advance:
        counts.count(early, everyone, advance)
        kept = everyone
        if safe:
            some = better_candidates(counts.curves(everyone, early), level, "stretch", counts.owner, WIDENED)
            kept = list(dict.fromkeys(way for base in some for way in with_last_steps(base)))
            counts.drop_others(kept)
            counts.count(early, [way for way in kept if way not in counts.counted], advance)
        if late:
            kept = better_candidates(counts.curves(kept, early), level, ranked, counts.owner, KEPT)
            counts.drop_others(kept)
            counts.count(late, kept, advance)
    joined = counts.curves(kept, [*early, *late])
    choice = choose(joined, level, ranked, owner=counts.owner, seed=seed)
    if objective != "hausdorff_distance_95":
        return choice
    picked = finalists([(result.candidate.kind, result.value) for result in choice.results])
    thresholds = {choice.results[i].candidate: choice.results[i].thresholds for i in picked}
    figures: dict[Score, list[list[float]]] = {candidate: [] for candidate in thresholds}
    with shown_progress(len(cases), progress, "distances", "case") as advance:
        for i, item in enumerate(cases):
            case = ScoredCase.of(item, i, list(thresholds), keys, counts.warned)
            for candidate, made in case.scores:
                figures[candidate].append(
                    set_distances(
                        made,
                        case.label,
                        thresholds[candidate],
                        label_mode=label_mode,
                        mask=case.mask,
                        voxel=case.voxel,
                    )
                )
            advance(1)
    distances = {c: mean_by_unit(np.array(values), owners, choice.units) for c, values in figures.items()}
    by_distance = choose_by_distance(distances, thresholds, choice.units, level, seed=seed)
    return replace(by_distance, why=by_distance.why + of_unseen_classes(joined[choice.chosen]))


def _checked(candidates: Sequence[Score]) -> list[Score]:
    wrong = [c for c in candidates if not isinstance(c, KINDS)]
    if wrong or not candidates:
        raise ValueError(
            "Expected `candidates` to be some of PlainScore(), BlurredScore(sigma) and WalkedScore(settings) from "
            f"monai_rwcp.scores, but got {wrong[0] if wrong else 'none'!r}."
        )
    return list(dict.fromkeys(candidates))
