"""What a check before deployment finds: field by field, calibrated against deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.provenance.packages import installed_packages
from monai_rwcp.provenance.record import ScoreRecord

__all__ = ["NOT_KNOWN", "Finding", "Status", "compared_packages", "compared_record"]

Status = Literal["agrees", "differs", "not known", "note"]
"""What was found of one field of the record."""

NOT_KNOWN: Any = object()
"""Stands in a record for what cannot be told without a run."""

_RECALIBRATE = "or calibrate anew with this deployment"
_ADVICE = {
    "network": "Load the calibrated weights (from `initialize` or a CheckpointLoader)",
    "spacing": "Give Spacingd the calibrated voxel size",
    "inferer": "Give the evaluator, and NetworkProvenanced(inferer=...), the calibrated inferer",
    "flips": "Average the flipped copies that were calibrated, and name them in NetworkProvenanced(flips=...)",
    "features": "Use the calibrated extractor: its layers, weights and intensity step",
    "walk": "Give RandomWalkDiffusiond (or TunedScored, by its file) the calibrated settings, at the same place",
    "blur": "Give TunedScored the calibrated settings file, at the same place",
    "steps": "Let the map walk or be blurred as at calibration: the same steps, as often, in the same order",
    "dtype": "Let the score reach ConformalThresholdd in the calibrated dtype, without casts in between",
    "side": "Put Invertd(nearest_interp=False) where it stood at calibration, before ConformalThresholdd",
}
_USUAL = {
    "network": "NetworkProvenanced",
    "inferer": "NetworkProvenanced(inferer=...)",
    "flips": "NetworkProvenanced(flips=...)",
}


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Args:
        field: what was compared, by the name it has in the record of a score.
        status: ``"agrees"``, ``"differs"``, ``"not known"`` or ``"note"`` (a difference that may be harmless).
        calibrated: the value at calibration; None where there is none.
        deployed: the value in the deployment; None where there is none.
        advice: what to do; empty when it agrees.

    Example:
        >>> Finding("walk.k", "differs", 20, 5, "Set it to 20.").status
        'differs'
    """

    field: str
    status: Status
    calibrated: Any
    deployed: Any
    advice: str = ""


def compared_record(calibration: Calibration, record: ScoreRecord) -> list[Finding]:
    """Compare how a deployment makes its scores with how the calibrated ones were made, field by field.

    Args:
        calibration: what was calibrated.
        record: the record of a score of the deployment, completed by
            :py:func:`monai_rwcp.provenance.completed_record`; ``NOT_KNOWN`` stands for what is not known.

    Returns:
        a finding for each field of either. They differ exactly where `ConformalThresholdd` would refuse the score.
        Network, inferer and flips are named as not known where neither records them.

    Example:
        >>> from monai_rwcp.conformal import Promise
        >>> from monai_rwcp.provenance import RecordedStep, ScoreRecord
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={}, provenance=ScoreRecord("sha256:12", steps=(RecordedStep("walk", {"k": 20}),)))
        >>> found = compared_record(calibration, ScoreRecord("sha256:12", steps=(RecordedStep("walk", {"k": 5}),)))
        >>> [(finding.field, finding.status) for finding in found]
        [('network', 'agrees'), ('walk.k', 'differs'), ('inferer', 'not known'), ('flips', 'not known')]
    """
    findings = []
    for field, one, other, equal in calibration.provenance.compared_with(record):
        if other is NOT_KNOWN:
            advice = "Only a run tells: give --image, any image of the kind, without a label."
            findings.append(Finding(field, "not known", one, None, advice))
        elif equal:
            findings.append(Finding(field, "agrees", one, other))
        else:
            advice = f"{_advice(field)}, {_RECALIBRATE}."
            findings.append(Finding(field, "differs", one, other, advice))
    for field, by in _USUAL.items():
        if getattr(calibration.provenance, field) is None and getattr(record, field) is None:
            advice = f"Nobody recorded it, so nothing holds it in place: calibrate with {by} to have it compared."
            findings.append(Finding(field, "not known", None, None, advice))
    return findings


def _advice(field: str) -> str:
    """What to do about a field: by its own name, or that of what it belongs to."""
    named = [_ADVICE[part] for part in reversed(field.replace(" ", ".").split(".")) if part in _ADVICE]
    return named[0] if named else "Use the calibrated value"


def compared_packages(calibration: Calibration) -> list[Finding]:
    """Note the packages whose versions are not those of the calibration.

    Example:
        >>> from monai_rwcp.conformal import Promise
        >>> compared_packages(Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={}))
        []
    """
    return [
        Finding(name, "note", calibration.packages.get(name), version, "Another version may round otherwise.")
        for name, version in installed_packages().items()
        if calibration.packages.get(name) != version
    ]
