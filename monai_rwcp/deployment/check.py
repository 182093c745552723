"""Checking a bundle against a calibration before it is deployed, without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.deployment.bundle import bundle_files, load_parts, read_bundle, searched_for_code
from monai_rwcp.deployment.chain import chain_findings, checked_threshold, score_key
from monai_rwcp.deployment.findings import Finding, compared_packages, compared_record
from monai_rwcp.deployment.observed import observed_score, one_image
from monai_rwcp.deployment.planned import planned_record

__all__ = ["DeploymentCheck", "check_bundle"]


@dataclass(frozen=True)
class DeploymentCheck:
    """The result of a check.

    Args:
        findings: field by field.
        looked_at: what was looked at, for people: the image that was run, or why none was.
    """

    findings: tuple[Finding, ...]
    looked_at: str

    @property
    def differs(self) -> bool:
        """Whether anything differs from what was calibrated."""
        return any(finding.status == "differs" for finding in self.findings)


def check_bundle(
    calibration: Calibration,
    bundle: Path,
    configs: Sequence[str] = (),
    *,
    overrides: Mapping[str, Any] | None = None,
    image: Path | None = None,
) -> DeploymentCheck:
    """Compare what a bundle makes with what was calibrated.

    With an image, given or the first of the config's own data, the config's evaluator makes its score, and the record
    of that score is compared: the very comparison that `ConformalThresholdd` makes. Without one the record is read
    from the chain, and what only a run tells stays unknown. A config can run any code: check only one you trust.

    Args:
        calibration: what was calibrated.
        bundle: the folder of a bundle, or a config file.
        configs: see :py:func:`monai_rwcp.deployment.bundle_files`.
        overrides: values by their id in the config.
        image: a file of an image of the kind; no label is needed.

    Returns:
        the findings.

    Raises:
        OSError: when a file is not there.
        ValueError: when the config cannot be read, its weights cannot be had, or it cannot be run on the image.
    """
    files = bundle_files(bundle, configs)
    folder = files[0].parent.parent if files[0].parent.name == "configs" else files[0].parent
    parser = read_bundle(files, overrides or {}, bundle if bundle.is_dir() else None)
    with searched_for_code(folder):
        missing = one_image(parser, image)
        parts = load_parts(parser)
        threshold = checked_threshold(parts, calibration)
        key = score_key(parts, threshold)
        before = parts.postprocessing if threshold is None else parts.postprocessing[: threshold.index]
        making = replace(parts, postprocessing=before)
        findings = chain_findings(calibration, parts)
        if missing is None:
            score, record = observed_score(parser, making, key)
            findings += _channels(calibration, int(score.shape[0]))
            looked_at = f"a run on {'the first image of its data' if image is None else image}"
        else:
            spacing = calibration.provenance.spacing
            record = planned_record(making, key, len(spacing) if isinstance(spacing, list) else None)
            looked_at = f"the chain as it is written, without a run: {missing}"
    return DeploymentCheck(
        (*compared_record(calibration, record), *findings, *compared_packages(calibration)), looked_at
    )


def _channels(calibration: Calibration, n_channels: int) -> list[Finding]:
    if n_channels == calibration.n_channels:
        return [Finding("channels", "agrees", calibration.n_channels, n_channels)]
    advice = "The network has other classes than the calibrated one: use that one, or calibrate this one."
    return [Finding("channels", "differs", calibration.n_channels, n_channels, advice)]
