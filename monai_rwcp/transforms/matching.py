"""Whether a score was made the way the calibrated ones were."""

from __future__ import annotations

from monai.config import NdarrayOrTensor

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.provenance.score_maps import completed_record

__all__ = ["check_matches_calibration"]


def check_matches_calibration(score: NdarrayOrTensor, record: ScoreRecord, calibration: Calibration) -> None:
    """Refuse a score that was made another way than the calibrated ones.

    Args:
        score: the score map ``[C, *spatial]``.
        record: the record that travelled with it.
        calibration: what was calibrated.

    Raises:
        ValueError: when it was; the message names the field.
    """
    differing = calibration.provenance.first_difference(completed_record(score, record))
    if differing is not None:
        raise ValueError(
            f"the score was not made the way the calibrated ones were: {differing.in_words('the calibration')}. Its "
            "promise does not hold for this score: use the same chain, or calibrate this one."
        )
