"""The figures that were observed of a folder of sets, as a JSON file that knows its calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.utils.json_documents import read_json, write_json
from monai_rwcp.utils.json_types import check_types

__all__ = ["read_figures", "write_figures"]

_CALIBRATION = "calibration"
_SHARES = ("_fnr", "_coverage", "_coverage_gap", "_dice", "_false_alarm_rate")
_ROUNDING = 1e-9
_COUNTS = ("_n_units", "_n_without_class")
_MADE = "Make it with `monai-rwcp evaluate --out`"


def write_figures(figures: Mapping[str, float], calibration: Calibration, path: str | Path) -> None:
    """Write figures by name, ``null`` for what is not defined, and the digest of the calibration they are of.

    Args:
        figures: by name and channel, as `PredictionSetMetricsHandler` publishes them.
        calibration: what the sets were made with.
        path: where to write.

    Raises:
        OSError: when it cannot be written.
    """
    values = {name: float(value) if math.isfinite(value) else None for name, value in figures.items()}
    write_json({_CALIBRATION: calibration.to_document()["digest"], **values}, path)


def read_figures(path: str | Path, calibration: Calibration) -> dict[str, float]:
    """Read what :py:func:`write_figures` wrote, nan for what is not defined.

    Args:
        path: the file.
        calibration: what the figures have to be of.

    Raises:
        FileNotFoundError: when there is no file.
        ValueError: when it is something else, of another calibration, or a share in it is no share.
    """
    document = read_json(path, "file of figures", _MADE)
    if not isinstance(document, dict) or not isinstance(document.get(_CALIBRATION), str):
        raise ValueError(f"'{path}' is no file of figures that knows its calibration. {_MADE}.")
    if document[_CALIBRATION] != calibration.to_document()["digest"]:
        raise ValueError(f"The figures in '{path}' are of another calibration. {_MADE} for this one.")
    figures = {}
    for name, value in document.items():
        if name == _CALIBRATION:
            continue
        check_types(value, float | None, f"'{path}': {name}")
        kind = name.rpartition("_")[0]
        wanted = None if value is None else _lacking(kind, value)
        if wanted is not None:
            raise ValueError(f"Expected '{name}' in '{path}' to be {wanted}, but got {value!r}. {_MADE}.")
        figures[name] = math.nan if value is None else float(value)
    return figures


def _lacking(kind: str, value: float) -> str | None:
    """What a figure of this kind has to be, where a value is not."""
    if kind.endswith(_SHARES) and not -_ROUNDING <= value <= 1 + _ROUNDING:
        return "a share in [0, 1]"
    if kind.endswith(_COUNTS) and not float(value).is_integer():
        return "a whole number"
    return "at least 0" if value < -_ROUNDING else None
