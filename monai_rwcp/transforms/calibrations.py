"""A calibration or the path of one, read when it is needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.config import NdarrayOrTensor

from monai_rwcp.conformal import Calibration, first_difference
from monai_rwcp.transforms.provenance import score_provenance

__all__ = ["CalibrationSource", "check_made_alike"]


class CalibrationSource:
    """Give a calibration; a file is read at call time, and again when it has changed.

    Args:
        calibration: a :py:class:`Calibration` or the path of one.

    Raises:
        TypeError: when it is neither.

    Example:
        >>> CalibrationSource("calibration.json").calibration
        'calibration.json'
    """

    def __init__(self, calibration: Calibration | str | os.PathLike) -> None:
        if not isinstance(calibration, (Calibration, str, os.PathLike)):
            raise TypeError(f"calibration must be a Calibration or a path but is {type(calibration).__name__}.")
        self.calibration = calibration
        self._loaded: tuple[tuple[int, int, int], Calibration] | None = None

    def current(self) -> Calibration:
        """The calibration as it is now.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when the file is not a whole calibration.
        """
        if isinstance(self.calibration, Calibration):
            return self.calibration
        path = Path(self.calibration)
        try:
            status = path.stat()
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
        except FileNotFoundError:
            version = (0, 0, 0)
        if self._loaded is None or self._loaded[0] != version:
            self._loaded = (version, Calibration.load(path))
        return self._loaded[1]


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
