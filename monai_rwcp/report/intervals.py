"""Intervals of observed figures."""

from __future__ import annotations

import math
from collections.abc import Mapping

from monai_rwcp.utils.packages import needed

__all__ = ["observed_interval"]


def observed_interval(figures: Mapping[str, float]) -> tuple[float, float]:
    r"""Give the 95 % interval of an observed false negative rate, cut to [0, 1].

    .. math:: \bar R \pm t_{0.975,\,n-1}\; s / \sqrt{n}

    over the :math:`n` patients that show the class.

    Args:
        figures: of one class, see :py:func:`monai_rwcp.metrics.class_figures`.

    Returns:
        its ends; nan with fewer than two patients, or when all are missed by the same share, which tells no spread.

    Raises:
        ImportError: when scipy is missing.

    Source: Student 1908, "The probable error of a mean".

    Example:
        >>> low, high = observed_interval({"fnr": 0.1, "fnr_standard_error": 0.01, "n_units": 11})
        >>> round(low, 4), round(high, 4)
        (0.0777, 0.1223)
    """
    rate, error, n = figures["fnr"], figures["fnr_standard_error"], int(figures["n_units"])
    if n < 2 or not error > 0:
        return math.nan, math.nan
    with needed("The report needs", "report", "scipy"):
        from scipy.stats import t
    margin = float(t.ppf(0.975, n - 1)) * error
    return max(0.0, rate - margin), min(1.0, rate + margin)
