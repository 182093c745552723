"""Which candidate gives the tightest sets at its own threshold, by counts or by measured distances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.plain import PlainScore
from monai_rwcp.tune.choice import Choice
from monai_rwcp.tune.curves import SetCurves, tuning_thresholds
from monai_rwcp.tune.objectives import Objective, check_counted, check_level
from monai_rwcp.tune.set_efficiency import efficiency
from monai_rwcp.tune.simplest_candidate import ComparedValue, bootstrap_weights, choose_simplest
from monai_rwcp.tune.small_structures import SmallStructures, compare_small_structures

__all__ = ["choose", "choose_by_distance", "of_unseen_classes", "pooled_by", "small_structures"]


def choose(
    curves: Mapping[Score, SetCurves],
    alpha: float = 0.1,
    objective: Objective = "stretch",
    *,
    owner: Mapping[str, str] | None = None,
    draws: int = 200,
    seed: int = 0,
) -> Choice:
    r"""Choose the candidate with the tightest sets, and a simpler kind where that is as good up to one standard error.

    The best candidate of each kind (plain, blur, walk) is compared with the best of all by a bootstrap over units,
    :math:`d_b = q_b(\text{kind's best}) - q_b(\text{best})`, in which thresholds are found anew in each draw and all
    candidates share the draws. The simplest kind is chosen that is worse, :math:`d_b > 0`, in less than 84 % of the
    draws. For normal :math:`d_b` that is a difference below one standard error; unlike that, it holds for the heavy
    tails of set sizes, too.

    With ``"safe_stretch"`` a candidate that harms small structures is not chosen, see :py:class:`SmallStructures`: it
    is compared with plain scores, which have to be among the candidates.

    Args:
        curves: counts of the same images for each candidate.
        alpha: share of the truth that the compared sets miss on average, in [0, 1).
        objective: ``"safe_stretch"`` or ``"stretch"`` (lower is better), or ``"dice"`` (higher is better).
        owner: for each image its unit, over which its counts are added up; None when each is a unit of its own.
        draws: number of bootstrap draws, at least 2.
        seed: of the draws.

    Returns:
        the choice.

    Raises:
        ValueError: when there is no candidate, fewer than 2 units, no unit that shows a class, images differ between
            candidates, plain scores are missing where they are compared with, or an argument is out of range.

    Source: one-standard-error rule: Breiman, Friedman, Olshen and Stone 1984, section 3.4.3.

    Example:
        >>> import torch
        >>> from monai_rwcp.scores import BlurredScore, PlainScore
        >>> from monai_rwcp.tune import SetCurves, set_curves
        >>> label = torch.tensor([[[0, 1, 1]]])
        >>> def of(score):
        ...     return SetCurves.join(set_curves(score, label, unit=f"patient {i}") for i in range(5))
        >>> tight = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> choose({PlainScore(): of(1 - tight), BlurredScore(1.0): of(tight)}).chosen
        BlurredScore(sigma=1.0, keep_peak=False, keep_sure=None, size_exponent=0.0, size_reference=1.0)
    """
    check_counted(alpha, objective)
    images = _common_images(curves)
    by_unit = pooled_by(curves, owner)
    units = next(iter(by_unit.values())).units
    if len(units) < 2:
        raise ValueError(f"Expected at least 2 tuning units to compare candidates on, but got {list(units)}.")
    weights = bootstrap_weights(len(units), draws, seed)
    own = {candidate: efficiency(of, alpha, objective) for candidate, of in by_unit.items()}
    owners = dict(zip(images, images, strict=True)) if owner is None else owner
    small = small_structures(curves, own, owners) if objective == "safe_stretch" else {}
    compared = {}
    for candidate, of in by_unit.items():
        value, steps = own[candidate]
        # A class that no unit shows has no threshold, and no part in the comparison.
        shown = of.true.sum(axis=0) > 0
        at = zip(of.classes, shown, tuning_thresholds()[steps[0]].tolist(), strict=True)
        thresholds = {c: threshold for c, is_shown, threshold in at if is_shown}
        drawn, _ = efficiency(of, alpha, objective, weights)
        compared[candidate] = ComparedValue(float(value[0]), drawn, thresholds, small.get(candidate))
    choice = choose_simplest(compared, alpha, objective, units)
    return replace(choice, why=choice.why + of_unseen_classes(next(iter(curves.values()))))


def of_unseen_classes(curves: SetCurves) -> str:
    """A sentence, after a space, on the classes that no unit shows; nothing where there are none.

    Example:
        >>> import torch
        >>> from monai_rwcp.tune import set_curves
        >>> of_unseen_classes(set_curves(torch.rand(3, 1, 2), torch.tensor([[[0, 1]]]), unit="anna"))
        ' No tuning unit shows class 2, which took no part.'
    """
    unseen = [str(c) for c, true in zip(curves.classes, curves.true.sum(axis=0), strict=True) if true == 0]
    if not unseen:
        return ""
    return f" No tuning unit shows class{'es' * (len(unseen) > 1)} {', '.join(unseen)}, which took no part."


def choose_by_distance(
    distances: Mapping[Score, np.ndarray],
    thresholds: Mapping[Score, dict[int, float]],
    units: tuple[str, ...],
    alpha: float = 0.1,
    *,
    draws: int = 200,
    seed: int = 0,
) -> Choice:
    """Choose as :py:func:`choose` does, by the distances of sets that were measured at their own thresholds.

    Args:
        distances: float ``[units, classes]`` in mm or voxels for each candidate; nan where a unit lacks the class.
        thresholds: of each candidate by class; the bootstrap keeps them.
        units: names of the units.
        alpha: share of the truth that the sets miss, in [0, 1).
        draws: number of bootstrap draws, at least 2.
        seed: of the draws.

    Returns:
        the choice.

    Raises:
        ValueError: when an argument is out of range or no unit shows a class.

    Example:
        >>> from monai_rwcp.scores import BlurredScore, PlainScore
        >>> distances = {PlainScore(): np.array([[9.0], [8.0]]), BlurredScore(1.0): np.array([[1.0], [2.0]])}
        >>> choose_by_distance(distances, dict.fromkeys(distances, {1: 0.5}), ("anna", "ben")).chosen
        BlurredScore(sigma=1.0, keep_peak=False, keep_sure=None, size_exponent=0.0, size_reference=1.0)
    """
    check_level(alpha)
    weights = bootstrap_weights(len(units), draws, seed)
    once = np.ones((1, len(units)))
    compared = {
        c: ComparedValue(float(_class_mean(of, once)[0]), _class_mean(of, weights), thresholds[c])
        for c, of in distances.items()
    }
    return choose_simplest(compared, alpha, "hausdorff_distance_95", units)


def _class_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """For each weighting of the units the mean over classes of the weighted mean over the units that have a value."""
    known = ~np.isnan(values)
    total, counts = weights @ np.where(known, values, 0), weights @ known
    by_class = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    some = ~np.isnan(by_class).all(axis=1)
    result = np.full(len(weights), np.nan)
    result[some] = np.nanmean(by_class[some], axis=1)
    return result


def pooled_by(curves: Mapping[Score, SetCurves], owner: Mapping[str, str] | None) -> dict[Score, SetCurves]:
    """Add up the counts of the images of each unit; None takes every image as a unit."""
    return dict(curves) if owner is None else {candidate: of.pooled(owner) for candidate, of in curves.items()}


def small_structures(
    curves: Mapping[Score, SetCurves], own: Mapping[Score, tuple[np.ndarray, np.ndarray]], owner: Mapping[str, str]
) -> dict[Score, SmallStructures]:
    """What each candidate does to small structures at its own thresholds, compared with plain scores.

    Args:
        curves: counts by image.
        own: what :py:func:`efficiency` gives of each candidate.
        owner: for each image its unit.

    Raises:
        ValueError: when plain scores are not among them.
    """
    plain = PlainScore()
    if plain not in curves:
        raise ValueError(
            'Expected PlainScore() among the candidates: "safe_stretch" compares with it what small structures lose.'
        )
    return {
        candidate: compare_small_structures(of, own[candidate][1][0], curves[plain], own[plain][1][0], owner)
        for candidate, of in curves.items()
    }


def _common_images(curves: Mapping[Score, SetCurves]) -> tuple[str, ...]:
    if not curves:
        raise ValueError("Expected some candidates to choose among, but got none.")
    images = next(iter(curves.values())).units
    if any(of.units != images for of in curves.values()):
        raise ValueError("Expected the same units, in the same order, for every candidate, but they differ.")
    return images
