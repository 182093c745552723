"""How tight the sets of one candidate are at its own thresholds."""

from __future__ import annotations

import numpy as np

from monai_rwcp.tune.curves import SetCurves
from monai_rwcp.tune.objectives import Objective, check_counted

__all__ = ["efficiency"]


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
        objective: ``"stretch"``, which ``"safe_stretch"`` is measured by, too, or ``"dice"``.
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
    check_counted(alpha, objective)
    w = np.ones((1, len(curves.units))) if weights is None else np.asarray(weights, dtype=np.float64)
    rates, worth = curves.false_negative_rate, curves.dice if objective == "dice" else curves.stretch
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
