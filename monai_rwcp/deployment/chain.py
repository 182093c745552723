"""What can be told of a deployment's chain without running it: threshold, Invertd, and what NetworkProvenanced says."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from monai.transforms import AsDiscreted, Invertd

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.deployment.after_threshold import after_findings
from monai_rwcp.deployment.findings import Finding
from monai_rwcp.deployment.parts import DeployedParts, PlacedThreshold, placed_thresholds
from monai_rwcp.provenance.inferers import inferer_record
from monai_rwcp.provenance.weights import weights_hash
from monai_rwcp.transforms.network_provenance import NetworkProvenanced
from monai_rwcp.transforms.random_walk_diffusion import RandomWalkDiffusiond
from monai_rwcp.transforms.tuned_score import TunedScored

__all__ = ["chain_findings", "checked_threshold", "score_key"]


def checked_threshold(parts: DeployedParts, calibration: Calibration) -> PlacedThreshold | None:
    """The threshold that uses the calibration; where none does, the first; None where there is none."""
    placed = list(placed_thresholds(parts.postprocessing))
    using = [one for one in placed if any(_loaded(source) == calibration for source in one.sources)]
    return next(iter([*using, *placed]), None)


def score_key(parts: DeployedParts, threshold: PlacedThreshold | None) -> Hashable:
    """Key of the score: the threshold's; without one, that of the last transform that makes or records a score."""
    if threshold is not None:
        return threshold.key
    made: list[Hashable] = ["pred"]
    for transform in parts.postprocessing:
        if isinstance(transform, (NetworkProvenanced, RandomWalkDiffusiond, TunedScored)):
            made.append(getattr(transform, "output_keys", transform.keys)[0])
    return made[-1]


def chain_findings(calibration: Calibration, parts: DeployedParts) -> list[Finding]:
    """Check what stands around the score: the threshold, its file and what follows it, `Invertd`, the records.

    Args:
        calibration: what was calibrated.
        parts: the deployment.

    Returns:
        what was found, with the lines that agree.

    Example:
        >>> from monai.inferers import SimpleInferer
        >>> from monai_rwcp.conformal import Promise
        >>> calibration = Calibration(
        ...     promised=Promise(0.1), unit_name="patient", n_channels=2, n_images=30, class_names=None,
        ...     classes={})
        >>> chain_findings(calibration, DeployedParts(None, SimpleInferer(), (), (), ()))[0].status
        'differs'
    """
    threshold = checked_threshold(parts, calibration)
    key = score_key(parts, threshold)
    before = parts.postprocessing if threshold is None else parts.postprocessing[: threshold.index]
    return [
        *_threshold_findings(calibration, threshold),
        *_transform_findings(before, key),
        *_declared_findings(before, key, parts),
        *after_findings(threshold, parts.postprocessing),
    ]


def _threshold_findings(calibration: Calibration, threshold: PlacedThreshold | None) -> list[Finding]:
    if threshold is None:
        advice = "The chain makes no prediction sets: put ConformalThresholdd with this calibration at its end."
        return [Finding("threshold", "differs", "ConformalThresholdd", None, advice)]
    name = type(threshold.transform).__name__
    loaded = [_loaded(source) for source in threshold.sources]
    if calibration in loaded:
        found = [Finding("threshold", "agrees", "this calibration", name)]
    else:
        paths = " and ".join(str(source.given) for source in threshold.sources)
        state = "is not there or not whole" if None in loaded else "is another one"
        advice = f"The calibration that {name} reads {state}: name this file there, or check against that one."
        found = [Finding("threshold", "differs", "this calibration", paths, advice)]
    for field, known, asked in (
        ("group_key", calibration.groups, threshold.transform.group_key),
        ("weight_key", calibration.weighted, threshold.transform.weight_key),
    ):
        if (known is None) != (asked is None):
            named = None if known is None else "needed"
            advice = (
                f"Take {field} from {name}: the calibration knows none."
                if known is None
                else f"Give {name} a {field}, and every case an entry there: the calibration asks for it."
            )
            found.append(Finding(f"threshold.{field}", "differs", named, asked, advice))
    return found


def _transform_findings(before: tuple[Any, ...], key: Hashable) -> list[Finding]:
    found = []
    for transform in before:
        if isinstance(transform, Invertd) and key in transform.keys:
            if transform.nearest_interp[transform.keys.index(key)]:
                advice = "Give Invertd nearest_interp=False: a score is a map, which nearest neighbours coarsen."
                found.append(Finding("Invertd.nearest_interp", "differs", False, True, advice))
            else:
                found.append(Finding("Invertd.nearest_interp", "agrees", False, False))
        if isinstance(transform, AsDiscreted) and key in transform.keys:
            advice = "A threshold needs the score: take AsDiscreted away, or let it write to a copy (CopyItemsd)."
            found.append(Finding("AsDiscreted", "differs", None, f"on '{key}'", advice))
    return found


def _declared_findings(before: tuple[Any, ...], key: Hashable, parts: DeployedParts) -> list[Finding]:
    """Whether what NetworkProvenanced records is what the evaluator runs."""
    found = []
    for transform in before:
        if not isinstance(transform, NetworkProvenanced):
            continue
        told, runs = weights_hash(transform.network), None if parts.network is None else weights_hash(parts.network)
        if runs is not None and told != runs:
            advice = f"NetworkProvenanced records {told}, but the evaluator runs {runs}: give both one network."
            found.append(Finding("NetworkProvenanced.network", "differs", told, runs, advice))
        if transform.inferer is not None and inferer_record(transform.inferer) != inferer_record(parts.inferer):
            advice = "NetworkProvenanced records another inferer than the evaluator runs: give both the same."
            recorded, run = inferer_record(transform.inferer), inferer_record(parts.inferer)
            found.append(Finding("NetworkProvenanced.inferer", "differs", recorded, run, advice))
    return found


def _loaded(source: Any) -> Calibration | None:
    try:
        calibration: Calibration = source.current()
    except (OSError, ValueError):
        return None
    return calibration
