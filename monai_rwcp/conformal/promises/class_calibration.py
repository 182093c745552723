"""What was calibrated for one class."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ClassCalibration"]


@dataclass(frozen=True)
class ClassCalibration:
    """What was calibrated for one class.

    Args:
        threshold: a voxel is in the prediction set when its score is at least this, in [0, 1]; 0 is the whole image,
            and 2, for losses of excess, the empty set.
        n: number of calibration units that count for the class.
        empirical_risk: mean loss of these units at the threshold, in [0, 1]; for tolerance the share of units that
            are not covered enough.
        working_level: the mean loss that was allowed, for crc ``((n + 1) alpha - 1) / n``; None without units and for
            the betting bound, which looks at more than the mean.
    """

    threshold: float
    n: int
    empirical_risk: float
    working_level: float | None

    @property
    def lambda_hat(self) -> float:
        """Calibrated level, ``1 - threshold``."""
        return 1.0 - self.threshold
