"""Whether a score was made the way the calibrated ones were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai.config import NdarrayOrTensor

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.provenance.record import first_difference
from monai_rwcp.provenance.score_maps import score_provenance

__all__ = ["check_made_alike"]


def check_made_alike(score: NdarrayOrTensor, provenance: Mapping[str, Any] | None, calibration: Calibration) -> None:
    """Refuse a score that was made another way than the calibrated ones.

    Raises:
        ValueError: when it was; the message names the field.
    """
    difference = first_difference(calibration.provenance, score_provenance(score, provenance))
    if difference is not None:
        field, expected, got = difference
        raise ValueError(
            f"the score was not made the way the calibrated ones were: {field} is {got!r}, but the calibration has "
            f"{expected!r}. Its promise does not hold for this score: use the same chain, or calibrate this one."
        )
