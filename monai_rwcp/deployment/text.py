"""A check before deployment as text: a table, and what to do."""

from __future__ import annotations

import json
from typing import Any

from monai_rwcp.deployment.check import DeploymentCheck
from monai_rwcp.deployment.findings import Status

__all__ = ["check_text"]

_WIDEST = 34
_SHOWN: dict[Status, str] = {"differs": "DIFFERS", "not known": "NOT KNOWN", "agrees": "OK", "note": "NOTE"}
_NOT_COMPARED = (
    "Not recorded, and so never compared: how the image is prepared beyond its voxel size (intensities, crops), "
    "activations, mixed precision, and transforms of the score by others. They must be those of the calibration, too."
)
_HEADINGS: dict[Status, str] = {"differs": "What differs, and what to do:", "not known": "Not known:", "note": "Notes:"}


def check_text(check: DeploymentCheck) -> str:
    """Show a check: a line for each field, what to do about those that differ, and the result.

    Args:
        check: the check.

    Returns:
        several lines.

    Example:
        >>> from monai_rwcp.deployment import Finding
        >>> found = (Finding("walk.k", "differs", 20, 5, "Set it."),)
        >>> print(check_text(DeploymentCheck(found, "a run on a.nii")))  # doctest: +ELLIPSIS
        Looked at: a run on a.nii.
        <BLANKLINE>
        result   field   calibrated  deployed
        DIFFERS  walk.k  20          5
        <BLANKLINE>
        What differs, and what to do:
        - walk.k: 20 expected, 5 found. Set it.
        <BLANKLINE>
        1 field differs: the calibration's promise does not hold for this deployment.
        Not recorded, and so never compared: ...
    """
    rows = [("result", "field", "calibrated", "deployed")]
    rows += [(_SHOWN[f.status], f.field, _short(f.calibrated), _short(f.deployed)) for f in check.findings]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [f"Looked at: {check.looked_at}.", ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for status, heading in _HEADINGS.items():
        found = [f for f in check.findings if f.status == status]
        if found:
            lines += ["", heading]
        for f in found:
            values = f": {_value(f.calibrated)} expected, {_value(f.deployed)} found"
            lines.append(f"- {f.field}{'' if status == 'not known' else values}. {f.advice}")
    return "\n".join([*lines, "", _result(check), _NOT_COMPARED])


def _result(check: DeploymentCheck) -> str:
    differing, unknown = (sum(f.status == status for f in check.findings) for status in ("differs", "not known"))
    if differing:
        one = "1 field differs" if differing == 1 else f"{differing} fields differ"
        return f"{one}: the calibration's promise does not hold for this deployment."
    if unknown:
        one = "1 field is" if unknown == 1 else f"{unknown} fields are"
        return f"Nothing differs in what could be compared; {one} not known."
    return "Everything that was recorded agrees with what was calibrated."


def _value(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)


def _short(value: Any) -> str:
    text = "-" if value is None else _value(_rounded(value))
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
