"""Choosing among candidates on a tuning split, patient by patient."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.scores.choice import KINDS, Score
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.tune.candidates import default_candidates
from monai_rwcp.tune.cases import CaseKeys, ScoredCase, case_owner, keys_of_sources, names_of_units
from monai_rwcp.tune.choice import Choice
from monai_rwcp.tune.choosing import choose, choose_by_distance, of_unseen_classes
from monai_rwcp.tune.curves import SetCurves, set_curves
from monai_rwcp.tune.distances import finalists, mean_by_unit, set_distances
from monai_rwcp.tune.halving import better_candidates, first_units
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
    on to the rest, and is compared on all of them. Where the third does not show every class, all go on.

    Args:
        cases: item dictionaries, such as a MONAI `Dataset` gives: scores, labels, features and names of units. Each is
            asked for twice, and once more for distances.
        alpha: highest expected false negative rate that will be promised, in (0, 1).
        n_calibration: on how many units it will be calibrated; None compares at ``alpha``, as for very many.
        candidates: what is compared; None takes :py:func:`default_candidates` with every source of ``feature_keys``.
        objective: ``"stretch"`` (size of set over size of truth), ``"dice"``, or ``"hausdorff_distance_95"``: the four
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
    counted: Objective = "dice" if objective == "dice" else "stretch"
    # By candidate and unit: images of a unit are added up as they come, so that memory grows with the units alone.
    totals: dict[Score, dict[str, SetCurves]] = {candidate: {} for candidate in everyone}
    in_mm: set[bool] = set()
    warned: set[tuple[str, str]] = set()

    def count(numbers: Iterable[int], some: Sequence[Score], advance: Callable[[int], object]) -> None:
        for i in numbers:
            try:
                case = ScoredCase.of(cases[i], i, some, keys, warned)
                in_mm.add(case.voxel is not None)
                if len(in_mm) > 1:
                    raise ValueError(
                        "Some maps tell their voxel size and others do not, so that walks and distances would mix mm "
                        "and voxels. Load all of them as MetaTensor, or none."
                    )
                for candidate, made in case.scores:
                    of_case = set_curves(
                        made,
                        case.label,
                        unit=owners[i],
                        label_mode=label_mode,
                        include_background=include_background,
                        mask=case.mask,
                    )
                    of_units = totals[candidate]
                    _check_classes(of_case, of_units)
                    of_units[owners[i]] = of_units[owners[i]].plus(of_case) if owners[i] in of_units else of_case
            except ValueError as error:
                raise ValueError(
                    f"Case {i}, score '{score_key}', label '{label_key}', {unit_key} '{owners[i]}': {error}"
                ) from error
            advance(1)

    first = set(first_units(units, seed))
    early, late = ([i for i, owner in enumerate(owners) if (owner in first) == is_first] for is_first in (True, False))
    with shown_progress(len(cases), progress, "tune", "case") as advance:
        count(early, everyone, advance)
        if late:
            kept = better_candidates({c: SetCurves.join(of.values()) for c, of in totals.items()}, level, counted)
            totals = {candidate: totals[candidate] for candidate in kept}
            count(late, kept, advance)
    joined = {c: SetCurves.join(of.values()) for c, of in totals.items()}
    choice = choose(joined, level, counted, seed=seed)
    if objective != "hausdorff_distance_95":
        return choice
    picked = finalists([(result.candidate.kind, result.value) for result in choice.results])
    thresholds = {choice.results[i].candidate: choice.results[i].thresholds for i in picked}
    figures: dict[Score, list[list[float]]] = {candidate: [] for candidate in thresholds}
    with shown_progress(len(cases), progress, "distances", "case") as advance:
        for i, item in enumerate(cases):
            case = ScoredCase.of(item, i, list(thresholds), keys, warned)
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


def _check_classes(of_case: SetCurves, of_units: Mapping[str, SetCurves]) -> None:
    before = next(iter(of_units.values())).classes if of_units else of_case.classes
    if of_case.classes != before:
        raise ValueError(
            f"Expected the classes {list(before)}, as in the cases before, but got {list(of_case.classes)}. All maps "
            "have to come from one network."
        )
