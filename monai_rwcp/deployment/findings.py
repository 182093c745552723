"""What a check before deployment finds: field by field, calibrated against deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.provenance.packages import installed_packages
from monai_rwcp.provenance.record import compared_fields

__all__ = ["NOT_KNOWN", "Finding", "Status", "compared_packages", "compared_record"]

Status = Literal["agrees", "differs", "not known", "note"]

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
    "walked_before": "Let the map walk as often as at calibration",
    "before_blur": "Let the map be smoothed as often as at calibration, in the same order",
    "blur": "Give TunedScored the calibrated settings file, at the same place",
    "dtype": "Let the score reach ConformalThresholdd in the calibrated dtype, without casts in between",
    "side": "Put Invertd(nearest_interp=False) where it stood at calibration, before ConformalThresholdd",
    "record": "Let the chain record how its scores are made as at calibration (NetworkProvenanced)",
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


def compared_record(calibration: Calibration, record: Mapping[str, Any]) -> list[Finding]:
    """Compare how a deployment makes its scores with how the calibrated ones were made, field by field.

    Args:
        calibration: what was calibrated.
        record: the record of a score of the deployment, completed by
            :py:func:`monai_rwcp.provenance.score_provenance`; ``NOT_KNOWN`` stands for what is not known.

    Returns:
        a finding for each field of either. They differ exactly where `ConformalThresholdd` would refuse the score.
        Network, inferer and flips are named as not known where neither records them.

    Example:
        >>> from monai_rwcp.conformal import Promise
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={}, provenance={"network": "sha256:12", "walk": {"k": 20}})
        >>> found = compared_record(calibration, {"network": "sha256:12", "walk": {"k": 5}})
        >>> [(finding.field, finding.status) for finding in found]
        [('network', 'agrees'), ('walk.k', 'differs'), ('inferer', 'not known'), ('flips', 'not known')]
    """
    findings = []
    for field, one, other, equal in compared_fields(calibration.provenance, record):
        if other is NOT_KNOWN:
            advice = "Only a run tells: give --image, any image of the kind, without a label."
            findings.append(Finding(field, "not known", one, None, advice))
        elif equal:
            findings.append(Finding(field, "agrees", one, other))
        else:
            advice = f"{_ADVICE.get(field.partition('.')[0], 'Use the calibrated value')}, {_RECALIBRATE}."
            findings.append(Finding(field, "differs", one, other, advice))
    for field, by in _USUAL.items():
        if field not in calibration.provenance and field not in record:
            advice = f"Nobody recorded it, so nothing holds it in place: calibrate with {by} to have it compared."
            findings.append(Finding(field, "not known", None, None, advice))
    return findings


def compared_packages(calibration: Calibration) -> list[Finding]:
    """Note the packages whose versions are not those of the calibration.

    Example:
        >>> from monai_rwcp.conformal import Promise
        >>> compared_packages(Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={}, provenance={}))
        []
    """
    return [
        Finding(name, "note", calibration.packages.get(name), version, "Another version may round otherwise.")
        for name, version in installed_packages().items()
        if calibration.packages.get(name) != version
    ]
