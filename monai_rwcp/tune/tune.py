"""Choosing among candidates on a tuning split, patient by patient."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor

from monai_rwcp.conformal import LabelMode
from monai_rwcp.tune.candidates import Candidate, WalkedScore, default_candidates
from monai_rwcp.tune.choose import Choice, Objective, check_comparison, choose, choose_by_distance, efficiency
from monai_rwcp.tune.curves import SetCurves, set_curves
from monai_rwcp.tune.distances import finalists, mean_by_unit, set_distances
from monai_rwcp.tune.scores import candidate_scores
from monai_rwcp.walk.progress import shown_progress

__all__ = ["tune_settings"]

# After the first part of the units the better part of each kind goes on.
_FIRST_PART, _KEPT = 3, 4


def tune_settings(
    cases: Sequence[Mapping[Hashable, Any]],
    *,
    alpha: float = 0.1,
    candidates: Sequence[Candidate] | None = None,
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
    """Choose how a score is made, on patients that are neither calibrated nor tested on.

    Every candidate makes its sets at the threshold at which they miss ``alpha`` of the truth of these patients; the
    candidate with the tightest sets wins, but a simpler kind (plain, then blur, then walk) is taken when it is as good
    up to one standard error, see :py:func:`choose`. A third of the units is seen by all candidates; the better quarter
    of each kind, and always the plain score, goes on to the rest, and is compared on all of them.

    Args:
        cases: item dictionaries, such as a MONAI `Dataset` gives: scores, labels, features and names of units. Each is
            asked for twice, and once more for distances.
        alpha: share of the truth that the compared sets miss, in (0, 1); best the one that will be promised.
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
        ValueError: when a unit is to be kept apart, there are fewer than 2 units, or a case or an argument does not
            fit; the message names the case.

    Example:
        >>> from monai_rwcp.tune import BlurredScore, PlainScore
        >>> cases = [{"pred": torch.rand(2, 8, 8), "label": torch.ones(1, 8, 8), "patient": i} for i in range(4)]
        >>> choice = tune_settings(cases, candidates=[PlainScore(), BlurredScore(1.0)])
        >>> len(choice.results)
        2
    """
    check_comparison(alpha, objective)
    if objective == "hausdorff_distance_95" and find_spec("scipy") is None:
        raise ImportError('Tuning by distance needs scipy: pip install "monai-rwcp[report]".')
    keys = {"features": "features"} if feature_keys is None else dict(feature_keys)
    everyone = default_candidates(tuple(keys)) if candidates is None else list(dict.fromkeys(candidates))
    unknown = sorted({c.source for c in everyone if isinstance(c, WalkedScore)} - keys.keys())
    if unknown:
        raise ValueError(f"Candidates walk by the features {unknown}, but `feature_keys` names only {sorted(keys)}.")
    owners = [str(_value(case, unit_key, i)) for i, case in enumerate(cases)]
    units = sorted(set(owners))
    shared = sorted(set(units) & {str(unit) for unit in keep_apart})
    if shared:
        raise ValueError(
            f"Expected tuning units that are kept apart from calibration and test, but {shared[:5]} ({len(shared)} in "
            "all) are in both. Settings that were fitted to a case flatter it: split the patients three ways."
        )
    if len(units) < 2:
        raise ValueError(f"Expected at least 2 tuning units, but got {units}.")

    def measured(numbers: Iterable[int], some: Sequence[Candidate], advance: Callable[[int], object]) -> list[_Row]:
        rows = []
        for i in numbers:
            try:
                rows.append(
                    _case_curves(
                        cases[i], i, some, keys, score_key, label_key, mask_key, label_mode, include_background
                    )
                )
            except ValueError as error:
                raise ValueError(f"Case {i}, score '{score_key}', label '{label_key}': {error}") from error
            advance(1)
        return rows

    counted: Objective = "dice" if objective == "dice" else "stretch"
    order = random.Random(seed).sample(units, len(units))
    first = set(order[: max(2, len(order) // _FIRST_PART)])
    early, late = ([i for i, owner in enumerate(owners) if (owner in first) == is_first] for is_first in (True, False))
    owner_of = {str(i): owner for i, owner in enumerate(owners)}
    with shown_progress(len(cases), progress, "tune", "case") as advance:
        early_rows = measured(early, everyone, advance)
        kept = _better(everyone, early_rows, owner_of, alpha, counted) if late else everyone
        rows = early_rows + measured(late, kept, advance)
    pooled = {c: SetCurves.join(row[c] for row in rows).pooled(owner_of) for c in kept}
    choice = choose(pooled, alpha, counted, seed=seed)
    if objective != "hausdorff_distance_95":
        return choice
    picked = finalists([(result.candidate.kind, result.value) for result in choice.results])
    thresholds = {choice.results[i].candidate: choice.results[i].thresholds for i in picked}
    figures: dict[Candidate, list[list[float]]] = {candidate: [] for candidate in thresholds}
    with shown_progress(len(cases), progress, "distances", "case") as advance:
        for i, case in enumerate(cases):
            label, mask, spacing, scores = _scored(case, i, list(thresholds), keys, score_key, label_key, mask_key)
            for candidate, made in scores:
                figures[candidate].append(
                    set_distances(made, label, thresholds[candidate], label_mode=label_mode, mask=mask, spacing=spacing)
                )
            advance(1)
    distances = {c: mean_by_unit(np.array(values), owners, choice.units) for c, values in figures.items()}
    return choose_by_distance(distances, thresholds, choice.units, alpha, seed=seed)


_Row = dict[Candidate, SetCurves]


def _case_curves(
    case: Mapping[Hashable, Any],
    number: int,
    candidates: Sequence[Candidate],
    feature_keys: Mapping[str, str],
    score_key: str,
    label_key: str,
    mask_key: str | None,
    label_mode: LabelMode,
    include_background: bool,
) -> _Row:
    label, mask, _, scores = _scored(case, number, candidates, feature_keys, score_key, label_key, mask_key)
    return {
        candidate: set_curves(
            made, label, unit=str(number), label_mode=label_mode, include_background=include_background, mask=mask
        )
        for candidate, made in scores
    }


def _scored(
    case: Mapping[Hashable, Any],
    number: int,
    candidates: Sequence[Candidate],
    feature_keys: Mapping[str, str],
    score_key: str,
    label_key: str,
    mask_key: str | None,
) -> tuple[torch.Tensor, torch.Tensor | None, list[float] | None, Iterator[tuple[Candidate, torch.Tensor]]]:
    """Label, mask and voxel size of a case, and its scores."""
    score = _value(case, score_key, number)
    spacing = [float(s) for s in score.pixdim[: score.ndim - 1]] if isinstance(score, MetaTensor) else None
    walked = {c.source for c in candidates if isinstance(c, WalkedScore)}
    features = {source: _tensor(_value(case, feature_keys[source], number)) for source in walked}
    label = _tensor(_value(case, label_key, number))
    mask = None if mask_key is None else _tensor(_value(case, mask_key, number))
    return label, mask, spacing, candidate_scores(_tensor(score), candidates, features, spacing=spacing)


def _better(
    candidates: Sequence[Candidate],
    rows: Sequence[_Row],
    owner_of: Mapping[str, str],
    alpha: float,
    objective: Objective,
) -> list[Candidate]:
    """The plain score and the better quarter of every other kind, in the order they were given."""
    sign = 1 if objective == "stretch" else -1
    values = {
        c: sign * float(efficiency(SetCurves.join(row[c] for row in rows).pooled(owner_of), alpha, objective)[0][0])
        for c in candidates
    }
    kept = set()
    for kind in {c.kind for c in candidates}:
        of_kind = sorted((c for c in candidates if c.kind == kind), key=values.__getitem__)
        kept |= set(of_kind[: -(-len(of_kind) // _KEPT)])
    return [c for c in candidates if c in kept]


def _value(case: Mapping[Hashable, Any], key: str, number: int) -> Any:
    if case.get(key) is None:
        raise KeyError(
            f"Expected '{key}' in case {number}, but got only "
            f"{sorted(str(k) for k, v in case.items() if v is not None)}. Name the right key, or add it to the data."
        )
    return case[key]


def _tensor(value: Any) -> torch.Tensor:
    return value.as_tensor() if isinstance(value, MetaTensor) else torch.as_tensor(value)
