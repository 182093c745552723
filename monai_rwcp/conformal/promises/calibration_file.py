"""The parts of a calibration in JSON, and what has to be true of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from monai_rwcp.conformal.counting.levels import EMPTY_SET
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.promises.class_calibration import ClassCalibration
from monai_rwcp.conformal.promises.promise import Promise
from monai_rwcp.conformal.promises.weighted_losses import WeightedLosses
from monai_rwcp.utils.arguments import check_class_names
from monai_rwcp.utils.json_documents import DocumentKind

__all__ = [
    "CALIBRATION_DOCUMENT",
    "check_contents",
    "classes_from_document",
    "classes_to_document",
    "weighted_from_document",
    "weighted_to_document",
]


class _Promised(TypedDict):
    alpha: float
    method: str
    delta: float | None
    tau: float | None
    bound: str | None


class _Class(TypedDict):
    lambda_hat: float
    threshold: float
    n: int
    empirical_risk: float
    working_level: float | None


class _Weighted(TypedDict):
    thresholds: list[float]
    losses: list[float]
    total: float
    effective_n: float


class _Content(TypedDict):
    promised: _Promised
    loss: dict[str, Any]
    counting: dict[str, Any]
    unit_name: str
    n_channels: int
    n_images: int
    class_names: list[str] | None
    classes: dict[str, _Class]
    groups: dict[str, dict[str, _Class]] | None
    weighted: dict[str, _Weighted] | None
    provenance: dict[str, Any]
    packages: dict[str, str]
    created: str


CALIBRATION_DOCUMENT = DocumentKind(
    "calibration",
    "monai_rwcp.calibration",
    version=3,
    first_step="Run the evaluator with ConformalCalibrationHandler(output_path='{path}') first",
    anew="ConformalCalibrationHandler or `monai-rwcp calibrate`",
    content=_Content,
    earlier={1: "0.1", 2: "0.1"},
)


def classes_to_document(classes: Mapping[int, ClassCalibration]) -> dict[str, Any]:
    """Turn what was calibrated for some classes into JSON."""
    return {
        str(c): {
            "lambda_hat": entry.lambda_hat,
            "threshold": entry.threshold,
            "n": entry.n,
            "empirical_risk": entry.empirical_risk,
            "working_level": entry.working_level,
        }
        for c, entry in classes.items()
    }


def classes_from_document(document: Mapping[str, Any]) -> dict[int, ClassCalibration]:
    """Turn JSON into what was calibrated for some classes."""
    return {
        int(c): ClassCalibration(e["threshold"], e["n"], e["empirical_risk"], e["working_level"])
        for c, e in document.items()
    }


def weighted_to_document(weighted: Mapping[int, WeightedLosses]) -> dict[str, Any]:
    """Turn weighted losses of some classes into JSON."""
    return {
        str(c): {
            "thresholds": list(of_class.thresholds),
            "losses": list(of_class.losses),
            "total": of_class.total,
            "effective_n": of_class.effective_n,
        }
        for c, of_class in weighted.items()
    }


def weighted_from_document(document: Mapping[str, Any]) -> dict[int, WeightedLosses]:
    """Turn JSON into weighted losses of some classes.

    Raises:
        ValueError: when thresholds and losses do not fit.
    """
    return {int(c): _weighted(c, of_class) for c, of_class in document.items()}


def _weighted(c: str, document: Mapping[str, Any]) -> WeightedLosses:
    thresholds, losses = (tuple(float(value) for value in document[name]) for name in ("thresholds", "losses"))
    if len(thresholds) != len(losses) or not losses or list(losses) != sorted(losses):
        raise ValueError(f"class {c}: thresholds and weighted losses do not fit.")
    return WeightedLosses(thresholds, losses, float(document["total"]), float(document["effective_n"]))


def check_contents(document: Mapping[str, Any], promise: Promise, loss: SetLoss) -> None:
    """Find a document that was made wrong, whoever made it, where the digest only finds a changed one.

    Raises:
        ValueError: when its numbers contradict each other or the promise.
    """
    for name in ("n_channels", "n_images"):
        if document[name] < 1:
            raise ValueError(f"{name} is {document[name]!r}, which is not a positive whole number.")
    names = document["class_names"]
    if names is not None and len(names) != document["n_channels"]:
        raise ValueError(f"there are {len(names)} class names for {document['n_channels']} channels.")
    check_class_names(names)
    if not document["classes"]:
        raise ValueError("it holds no class.")
    if document["weighted"] is not None and document["weighted"].keys() != document["classes"].keys():
        raise ValueError("its weighted losses are of other classes.")
    groups = document["groups"] or {}
    for classes in (document["classes"], *groups.values()):
        for c, entry in classes.items():
            if not c.isdecimal() or int(c) >= document["n_channels"]:
                raise ValueError(f"class {c} is not one of the {document['n_channels']} channels.")
            _check_class(c, entry, promise, loss)


def _check_class(c: str, entry: dict[str, Any], promise: Promise, loss: SetLoss) -> None:
    threshold, n, risk = entry["threshold"], entry["n"], entry["empirical_risk"]
    known = _is_share(threshold) or (loss.of_excess and threshold == EMPTY_SET)
    if not known or not _is_share(risk) or entry["lambda_hat"] != 1.0 - threshold:
        raise ValueError(f"class {c}: threshold {threshold!r}, lambda_hat {entry['lambda_hat']!r}, risk {risk!r}.")
    if n < 0:
        raise ValueError(f"class {c}: n is {n!r}.")
    safest = EMPTY_SET if loss.of_excess else 0
    too_much = promise.bound != "betting" and n * risk > promise.allowance(n) + 1e-9
    if threshold != safest and (n < promise.minimum_n or too_much):
        raise ValueError(
            f"class {c}: a mean loss of {risk:.6g} on {n} units is more than alpha = {promise.alpha} allows at the "
            f"threshold {threshold!r}."
        )


def _is_share(value: float) -> bool:
    return 0 <= value <= 1
