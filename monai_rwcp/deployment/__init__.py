"""A check before deployment: whether a MONAI bundle makes its scores the way that was calibrated."""

from __future__ import annotations

from monai_rwcp.deployment.bundle import bundle_files
from monai_rwcp.deployment.check import DeploymentCheck, check_bundle
from monai_rwcp.deployment.findings import NOT_KNOWN, Finding, Status, compared_record
from monai_rwcp.deployment.text import check_text

__all__ = [
    "NOT_KNOWN",
    "DeploymentCheck",
    "Finding",
    "Status",
    "bundle_files",
    "check_bundle",
    "check_text",
    "compared_record",
]
