"""Which candidate gives the tightest sets at its own threshold, and whether that is more than luck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal, get_args

import numpy as np

from monai_rwcp.conformal.promises.promise import Promise
from monai_rwcp.scores.choice import Score
from monai_rwcp.tune.curves import SetCurves, tuning_thresholds
from monai_rwcp.utils.arguments import check_share

__all__ = [
    "CandidateResult",
    "Choice",
    "Objective",
    "check_comparison",
    "choose",
    "choose_by_distance",
    "efficiency",
    "of_unseen_classes",
    "working_level",
]

Objective = Literal["stretch", "dice", "hausdorff_distance_95"]

# From the simplest.
_KINDS = ("plain", "blur", "walk")

# A simpler kind is taken unless it is worse in this share of the bootstrap draws: one standard error of a difference
# that scatters normally. Set sizes have heavy tails, which would widen a standard error until anything passes.
_ONE_STANDARD_ERROR = NormalDist().cdf(1)


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
    """

    candidate: Score
    value: float
    difference: float
    standard_error: float
    worse_in: float
    thresholds: dict[int, float]


@dataclass(frozen=True)
class Choice:
    """The outcome of tuning.

    Args:
        chosen: the candidate.
        results: of all candidates that were compared to the end, the best first.
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


def check_comparison(alpha: float, objective: Objective) -> None:
    """Refuse what candidates cannot be compared by.

    Raises:
        ValueError: when ``alpha`` is not in (0, 1) or there is no such objective.

    Example:
        >>> check_comparison(0.1, "stretch")
    """
    check_share("alpha", alpha)
    if objective not in get_args(Objective):
        raise ValueError(f"Expected `objective` to be one of {list(get_args(Objective))}, but got {objective!r}.")


def working_level(alpha: float, n_calibration: int) -> float:
    r"""Give what the mean loss of n calibration units may be for a promise by conformal risk control.

    .. math:: ((n + 1) \alpha - 1) / n

    Args:
        alpha: highest expected loss, in (0, 1).
        n_calibration: the number of units, at least :math:`1 / \alpha - 1`.

    Returns:
        the level, in [0, 1).

    Raises:
        ValueError: when ``alpha`` is out of range, or so few units cannot keep it.

    Source: Angelopoulos et al., arXiv 2208.02814, section 2.

    Example:
        >>> working_level(0.1, 9), working_level(0.1, 40)
        (0.0, 0.0775)
    """
    promise = Promise(alpha)
    if isinstance(n_calibration, bool) or not isinstance(n_calibration, int) or n_calibration < promise.minimum_n:
        raise ValueError(
            f"Expected `n_calibration` to be a whole number of at least {promise.minimum_n}, without which no set but "
            f"the whole image keeps alpha={alpha:g}, but got {n_calibration!r}."
        )
    return float(promise.allowance(n_calibration) / n_calibration)


def _check_level(alpha: float) -> None:
    fits = isinstance(alpha, (int, float)) and not isinstance(alpha, bool) and 0 <= alpha < 1
    if not fits:
        raise ValueError(f"Expected `alpha` to be a number in [0, 1), such as 0.1, but got {alpha!r}.")


def _check_counted(alpha: float, objective: Objective) -> None:
    _check_level(alpha)
    if objective not in ("stretch", "dice"):
        raise ValueError(
            f'Expected `objective` to be "stretch" or "dice", but got {objective!r}. Counts know no distances; '
            "`tune_settings` measures them."
        )


def efficiency(
    curves: SetCurves, alpha: float, objective: Objective = "stretch", weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Give the objective of a candidate at its own thresholds, for one or several weightings of the units.

    .. math:: t_c = \max\{t : \overline{\mathrm{FNR}}_c(t) \le \alpha\}, \qquad
        q = \operatorname{mean}_c \operatorname{mean}_i q_{ic}(t_c)

    The thresholds are empirical: they compare candidates at equal loss and promise nothing.

    Args:
        curves: counts of the tuning units.
        alpha: mean false negative rate over units, in [0, 1).
        objective: ``"stretch"`` or ``"dice"``.
        weights: float ``[draws, units]``, how often each unit counts; None counts each once.

    Returns:
        the objective, float64 ``[draws]`` (nan where no unit with weight shows any class), and the numbers of the
        thresholds, int64 ``[draws, classes]``.

    Raises:
        ValueError: when ``alpha`` is out of range or counts cannot tell the objective.

    Example:
        >>> import torch
        >>> from monai_rwcp.tune import set_curves
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> value, threshold = efficiency(set_curves(score, torch.tensor([[[0, 1, 1]]]), unit="anna"), 0.1)
        >>> value.tolist()
        [1.0]
    """
    _check_counted(alpha, objective)
    w = np.ones((1, len(curves.units))) if weights is None else np.asarray(weights, dtype=np.float64)
    rates, worth = curves.false_negative_rate, curves.stretch if objective == "stretch" else curves.dice
    values = np.full((len(w), len(curves.classes)), np.nan)
    steps = np.zeros((len(w), len(curves.classes)), dtype=np.int64)
    for c in range(len(curves.classes)):
        shows = curves.true[:, c] > 0
        counts = w[:, shows].sum(axis=1)
        known = counts > 0
        if not known.any():
            continue
        mean = w[known][:, shows] @ rates[shows, c] / counts[known, None]
        # Rates rise with the threshold; a little is left for the rounding of the sum.
        steps[known, c] = (mean <= alpha + 1e-12).sum(axis=1) - 1
        at_step = worth[shows, c][:, steps[known, c]].T
        values[known, c] = (w[known][:, shows] * at_step).sum(axis=1) / counts[known]
    some = ~np.isnan(values).all(axis=1)
    result = np.full(len(w), np.nan)
    result[some] = np.nanmean(values[some], axis=1)
    return result, steps


def choose(
    curves: Mapping[Score, SetCurves],
    alpha: float = 0.1,
    objective: Objective = "stretch",
    *,
    draws: int = 200,
    seed: int = 0,
) -> Choice:
    r"""Choose the candidate with the tightest sets, and a simpler kind where that is as good up to one standard error.

    The best candidate of each kind (plain, blur, walk) is compared with the best of all by a bootstrap over units,
    :math:`d_b = q_b(\text{kind's best}) - q_b(\text{best})`, in which thresholds are found anew in each draw and all
    candidates share the draws. The simplest kind is chosen that is worse, :math:`d_b > 0`, in less than 84 % of the
    draws. For normal :math:`d_b` that is a difference below one standard error; unlike that, it holds for the heavy
    tails of set sizes, too.

    Args:
        curves: counts of the same units for each candidate.
        alpha: share of the truth that the compared sets miss on average, in [0, 1).
        objective: ``"stretch"`` (lower is better) or ``"dice"`` (higher is better).
        draws: number of bootstrap draws, at least 2.
        seed: of the draws.

    Returns:
        the choice.

    Raises:
        ValueError: when there is no candidate, fewer than 2 units, no unit that shows a class, units differ between
            candidates, or an argument is out of range.

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
        BlurredScore(sigma=1.0, keep_peak=False)
    """
    _check_counted(alpha, objective)
    units = _common_units(curves)
    weights = _bootstrap(len(units), draws, seed)
    found = {}
    for candidate, of in curves.items():
        value, steps = efficiency(of, alpha, objective)
        # A class that no unit shows has no threshold, and no part in the comparison.
        shown = of.true.sum(axis=0) > 0
        at = zip(of.classes, shown, tuning_thresholds()[steps[0]].tolist(), strict=True)
        thresholds = {c: threshold for c, is_shown, threshold in at if is_shown}
        found[candidate] = (float(value[0]), efficiency(of, alpha, objective, weights)[0], thresholds)
    choice = _decide(found, alpha, objective, units)
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
        BlurredScore(sigma=1.0, keep_peak=False)
    """
    _check_level(alpha)
    weights = _bootstrap(len(units), draws, seed)
    once = np.ones((1, len(units)))
    found = {
        c: (float(_class_mean(of, once)[0]), _class_mean(of, weights), thresholds[c]) for c, of in distances.items()
    }
    return _decide(found, alpha, "hausdorff_distance_95", units)


def _class_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """For each weighting of the units the mean over classes of the weighted mean over the units that have a value."""
    known = ~np.isnan(values)
    total, counts = weights @ np.where(known, values, 0), weights @ known
    by_class = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    some = ~np.isnan(by_class).all(axis=1)
    result = np.full(len(weights), np.nan)
    result[some] = np.nanmean(by_class[some], axis=1)
    return result


def _bootstrap(n_units: int, draws: int, seed: int) -> np.ndarray:
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 2:
        raise ValueError(f"Expected `draws` to be a whole number of at least 2, but got {draws!r}.")
    picks = np.random.default_rng(seed).integers(0, n_units, size=(draws, n_units))
    return np.stack([np.bincount(row, minlength=n_units) for row in picks])


def _decide(
    found: Mapping[Score, tuple[float, np.ndarray, dict[int, float]]],
    alpha: float,
    objective: Objective,
    units: tuple[str, ...],
) -> Choice:
    """Rank candidates by their values, with what they are worse by and how surely, and take the simplest."""
    sign = -1.0 if objective == "dice" else 1.0
    if any(np.isnan(value) for value, _, _ in found.values()):
        raise ValueError("No tuning unit shows any class, so there is nothing to compare sets by.")
    order = sorted(found, key=lambda candidate: (sign * found[candidate][0], _KINDS.index(candidate.kind)))
    best = order[0]
    results = []
    for candidate in order:
        value, drawn, thresholds = found[candidate]
        apart = sign * (drawn - found[best][1])
        known = apart[~np.isnan(apart)]
        error = 0.0 if candidate is best else float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")
        worse_in = float((known > 0).mean())
        results.append(
            CandidateResult(candidate, value, max(0.0, sign * (value - found[best][0])), error, worse_in, thresholds)
        )
    chosen, why = _simplest(results)
    return Choice(chosen, tuple(results), float(alpha), objective, units, why)


def _simplest(results: list[CandidateResult]) -> tuple[Score, str]:
    best = results[0]
    for kind in _KINDS:
        of_kind = next((result for result in results if result.candidate.kind == kind), None)
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


def _common_units(curves: Mapping[Score, SetCurves]) -> tuple[str, ...]:
    if not curves:
        raise ValueError("Expected some candidates to choose among, but got none.")
    units = next(iter(curves.values())).units
    if any(of.units != units for of in curves.values()):
        raise ValueError("Expected the same units, in the same order, for every candidate, but they differ.")
    if len(units) < 2:
        raise ValueError(f"Expected at least 2 tuning units to compare candidates on, but got {list(units)}.")
    return units
