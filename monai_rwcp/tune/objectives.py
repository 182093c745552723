"""What candidates are compared by, and at which level of loss."""

from __future__ import annotations

from typing import Literal, get_args

from monai_rwcp.conformal.promises.promise import Promise
from monai_rwcp.utils.arguments import check_share

__all__ = ["Objective", "check_comparison", "check_counted", "check_level", "working_level"]

Objective = Literal["safe_stretch", "stretch", "dice", "hausdorff_distance_95"]
"""What candidates are compared by. `"safe_stretch"` is the stretch among those that do not harm small structures."""


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


def check_level(alpha: float) -> None:
    """Refuse what is no share that sets may miss.

    Raises:
        ValueError: when ``alpha`` is not in [0, 1).

    Example:
        >>> check_level(0.0)
    """
    fits = isinstance(alpha, (int, float)) and not isinstance(alpha, bool) and 0 <= alpha < 1
    if not fits:
        raise ValueError(f"Expected `alpha` to be a number in [0, 1), such as 0.1, but got {alpha!r}.")


def check_counted(alpha: float, objective: Objective) -> None:
    """Refuse what candidates cannot be compared by when all that is known of them are counts.

    Raises:
        ValueError: when ``alpha`` is not in [0, 1), or counts cannot tell the objective.

    Example:
        >>> check_counted(0.0, "dice")
    """
    check_level(alpha)
    if objective not in ("safe_stretch", "stretch", "dice"):
        raise ValueError(
            f'Expected `objective` to be "safe_stretch", "stretch" or "dice", but got {objective!r}. Counts know no '
            "distances; `tune_settings` measures them."
        )
