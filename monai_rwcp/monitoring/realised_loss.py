"""Is the loss still what was promised? A test on labels that come later, valid whenever one looks."""

from __future__ import annotations

import numpy as np

from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.unit_losses import UnitLosses
from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.monitoring.betting import SharedBets, check_rate

__all__ = ["RealisedLossMonitor", "check_loss", "losses_of_units", "realised_losses"]

# Shares of the largest stake that cannot lose more than everything: 0 sits out, the rest fit small to large excesses.
_STAKES = np.array([0.0, 0.05, 0.1, 0.2, 0.4, 0.8])


class RealisedLossMonitor:
    r"""Bet that the mean loss of deployed cases is above a tolerated one.

    .. math:: M_n = \sum_j w_j \prod_{i \le n} \big(1 + g_j\,(L_i / m - 1)\big)

    with the tolerated loss :math:`m` and stakes :math:`g_j \in [0, 1)` (part of the capital is dealt out anew before
    every case). While the expected loss of each case, given those before, is at most :math:`m`, the capital ever
    reaches :math:`1/r` with probability at most :math:`r`, however often one looks.

    Conformal risk control promises a mean loss of at most ``alpha`` over new cases *and* over the choice of the
    calibration cases. The risk of one calibration on ``n`` units scatters around that by up to about
    :math:`\sqrt{\alpha (1 - \alpha) / n}`, so it may lie above ``alpha`` with nothing having changed. To hear about
    changes only, tolerate ``alpha`` and a margin of about twice that; with ``tolerated=alpha`` the monitor tests this
    very calibration.

    Args:
        tolerated: highest mean loss :math:`m` that is no reason to complain, in (0, 1).
        false_alarm_rate: :math:`r` in (0, 1).

    Raises:
        ValueError: when one is not in (0, 1); when a loss is not in [0, 1].

    Source: Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables by betting"; Ville's
    inequality.

    Example:
        >>> monitor = RealisedLossMonitor(tolerated=0.15, false_alarm_rate=0.01)
        >>> for loss in [0.4, 0.6, 0.5, 0.3, 0.7, 0.5, 0.6, 0.4]:
        ...     monitor.observe(loss)
        >>> monitor.alarmed_after, round(monitor.lower_bound(), 2)
        (7, 0.19)
    """

    def __init__(self, tolerated: float, false_alarm_rate: float = 0.01) -> None:
        check_rate(tolerated, "tolerated")
        check_rate(false_alarm_rate)
        self.tolerated = float(tolerated)
        self.false_alarm_rate = float(false_alarm_rate)
        self.losses: list[float] = []
        self.alarmed_after: int | None = None
        """Number of cases after which the capital first reached ``1 / false_alarm_rate``; None while it has not."""
        self._bets = SharedBets(len(_STAKES))

    @property
    def capital(self) -> float:
        """Present capital, 1 before the first case."""
        return self._bets.capital

    def observe(self, loss: float) -> None:
        """Take the loss of the next case.

        Raises:
            ValueError: when it is not in [0, 1].
        """
        check_loss(loss)
        self.losses.append(float(loss))
        self._bets.play(_returns(loss, self.tolerated))
        if self.alarmed_after is None and self.capital >= 1 / self.false_alarm_rate:
            self.alarmed_after = len(self.losses)

    def lower_bound(self) -> float:
        """Give a lower confidence bound for the mean loss, valid at all times at once.

        It is the largest tolerated loss that the same bets would have refuted by now. With probability at least
        ``1 - false_alarm_rate`` it never lies above the highest expected loss of any of the cases, which is the mean
        loss as long as nothing changes.

        Returns:
            the bound in [0, 1], found to within 1e-4 below.
        """
        low, high = 0.0, 1.0
        while high - low > 1e-4:
            middle = (low + high) / 2
            # Every return falls as the tolerated loss rises, so the refuted ones are all those up to the bound.
            if self._refutes(middle):
                low = middle
            else:
                high = middle
        return low

    def _refutes(self, tolerated: float) -> bool:
        bets = SharedBets(len(_STAKES))
        for loss in self.losses:
            bets.play(_returns(loss, tolerated))
            if bets.capital >= 1 / self.false_alarm_rate:
                return True
        return False


def realised_losses(table: LossTable, calibration: Calibration) -> dict[int, dict[str, float]]:
    """Give the loss of each unit at the calibrated thresholds, as it was counted when calibrating.

    Args:
        table: loss counts of labelled cases, made with the calibration's label mode and classes.
        calibration: thresholds of the same loss.

    Returns:
        for each class the loss in [0, 1] of each unit that counts for it, in the order of the table's images.

    Raises:
        ValueError: when the calibration is about another loss, or has other classes than the table.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import calibrate, false_negative_rate_table
        >>> score, label = torch.tensor([[[0.4, 0.9]], [[0.6, 0.1]]]), torch.tensor([[[1, 0]]])
        >>> parts = [false_negative_rate_table(score, label, unit=str(i)) for i in range(20)]
        >>> realised_losses(parts[0], calibrate(LossTable.join(parts)))
        {1: {'0': 0.0}}
    """
    if calibration.groups is not None or calibration.weighted is not None:
        raise ValueError(
            "Expected a calibration with one threshold for all cases, but it has one by group or weight. Compute the "
            "losses of the cases yourself and give them to observe_loss."
        )
    if table.loss != calibration.loss:
        raise ValueError(f"Expected losses {calibration.loss.record()}, as calibrated, got {table.loss.record()}.")
    masked = calibration.counting.masked
    if table.counting.masked != masked:
        raise ValueError(
            f"Expected losses counted {'inside a mask' if masked else 'without a mask'}, as calibrated, but these were "
            f"counted {'without one' if masked else 'inside one'}."
        )
    if tuple(table.classes) != tuple(calibration.classes):
        raise ValueError(f"Expected the classes {list(calibration.classes)}, as calibrated, got {list(table.classes)}.")
    order = list(dict.fromkeys(image.unit for image in table.images.values()))
    realised: dict[int, dict[str, float]] = {}
    for c, threshold in calibration.threshold.items():
        losses = UnitLosses(table, c, calibration.counting)
        step = int(np.flatnonzero(losses.thresholds == threshold)[0])
        of_unit = dict(zip(losses.units, losses.by_unit[:, step].tolist(), strict=True))
        realised[c] = {unit: of_unit[unit] for unit in order if unit in of_unit}
    return realised


def losses_of_units(table: LossTable, calibration: Calibration) -> dict[str, dict[str, float]]:
    """Give the losses of each unit by the name of the structure.

    Args:
        table, calibration: as for :py:func:`realised_losses`.

    Returns:
        for each unit, in the order of the table's images, the loss in [0, 1] of each structure that counts for it.

    Raises:
        ValueError: as :py:func:`realised_losses`.
    """
    by_class = realised_losses(table, calibration)
    return {
        image.unit: {calibration.class_name(c): of[image.unit] for c, of in by_class.items() if image.unit in of}
        for image in table.images.values()
    }


def check_loss(loss: float) -> None:
    """Refuse what is no loss in [0, 1].

    Raises:
        ValueError: when it is not finite or outside [0, 1].

    Example:
        >>> check_loss(0.25)
    """
    if isinstance(loss, bool) or not isinstance(loss, (int, float)) or not 0.0 <= loss <= 1.0:
        raise ValueError(f"Expected a loss to be a number in [0, 1], but got {loss!r}. Divide it by its largest value.")


def _returns(loss: float, tolerated: float) -> np.ndarray:
    return 1.0 - _STAKES + _STAKES * loss / tolerated
