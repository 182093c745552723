"""The calibration's JSON form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_rwcp.conformal.counting.levels import EMPTY_SET
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.choice import loss_from_record
from monai_rwcp.conformal.promises.promise import Promise
from monai_rwcp.conformal.promises.weighted_losses import WeightedLosses
from monai_rwcp.utils.arguments import ALLOWED_OPTIONS, check_options
from monai_rwcp.utils.json_documents import check_document, digest

if TYPE_CHECKING:
    from monai_rwcp.conformal.promises.calibration import Calibration, ClassCalibration

__all__ = ["from_document", "to_document"]

_FORMAT = "monai_rwcp.calibration"
_VERSION = 3
_PLAIN = ("unit_loss", "empty", "outside", "label_mode", "unit_name", "n_channels", "masked")


def to_document(calibration: Calibration) -> dict[str, Any]:
    """Turn a calibration into its JSON document, with the digest that shows later changes."""
    document: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, "promise": calibration.promise}
    document["promised"] = asdict(calibration.promised)
    document |= {name: getattr(calibration, name) for name in _PLAIN}
    document["n_images"] = calibration.n_images
    document["class_names"] = None if calibration.class_names is None else list(calibration.class_names)
    document["loss"] = calibration.loss.record()
    document["classes"] = _classes_to_document(calibration.classes)
    groups = calibration.groups
    document["groups"] = None if groups is None else {g: _classes_to_document(of) for g, of in groups.items()}
    weighted = calibration.weighted
    document["weighted"] = None if weighted is None else {str(c): _weighted_to_document(w) for c, w in weighted.items()}
    document |= {
        "provenance": dict(calibration.provenance),
        "packages": dict(calibration.packages),
        "created": calibration.created,
    }
    document["digest"] = digest(document)
    return document


def from_document(document: Any, path: str | Path) -> Calibration:
    """Turn a JSON document into a calibration, or say why it is none."""
    from monai_rwcp.conformal.promises.calibration import Calibration

    check_document(document, path, what="calibration", kind=_FORMAT, version=_VERSION)
    try:
        _check_values(document)
        return Calibration(
            promised=Promise(**document["promised"]),
            **{name: document[name] for name in _PLAIN},
            n_images=document["n_images"],
            class_names=None if document["class_names"] is None else tuple(document["class_names"]),
            classes=_classes(document["classes"]),
            groups=None if document["groups"] is None else {g: _classes(of) for g, of in document["groups"].items()},
            weighted=None
            if document["weighted"] is None
            else {int(c): _weighted(c, of_class) for c, of_class in document["weighted"].items()},
            loss=loss_from_record(document["loss"]),
            provenance=document["provenance"],
            packages=document["packages"],
            created=document["created"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The calibration '{path}' lacks a field or has one of the wrong kind: {error}.") from error
    except ValueError as error:
        raise ValueError(f"The calibration '{path}' contradicts itself: {error}") from error


def _check_values(document: dict[str, Any]) -> None:
    # The digest finds a changed file; this finds a file made wrong, whoever made it.
    promise = Promise(**document["promised"])
    loss = loss_from_record(document["loss"])
    check_options(**{name: document[name] for name in ALLOWED_OPTIONS})
    for name in ("n_channels", "n_images"):
        if not isinstance(document[name], int) or document[name] < 1:
            raise ValueError(f"{name} is {document[name]!r}, which is not a positive whole number.")
    if not isinstance(document["masked"], bool):
        raise ValueError(f"masked is {document['masked']!r}, which is neither true nor false.")
    names = document["class_names"]
    if names is not None and len(names) != document["n_channels"]:
        raise ValueError(f"there are {len(names)} class names for {document['n_channels']} channels.")
    if not document["classes"]:
        raise ValueError("it holds no class.")
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
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ValueError(f"class {c}: n is {n!r}.")
    safest = EMPTY_SET if loss.of_excess else 0
    too_much = promise.bound != "betting" and n * risk > promise.allowance(n) + 1e-9
    if threshold != safest and (n < promise.minimum_n or too_much):
        raise ValueError(
            f"class {c}: a mean loss of {risk:.6g} on {n} units is more than alpha = {promise.alpha} allows at the "
            f"threshold {threshold!r}."
        )


def _classes_to_document(classes: Mapping[int, ClassCalibration]) -> dict[str, Any]:
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


def _classes(document: Mapping[str, Any]) -> dict[int, ClassCalibration]:
    from monai_rwcp.conformal.promises.calibration import ClassCalibration

    return {
        int(c): ClassCalibration(e["threshold"], e["n"], e["empirical_risk"], e["working_level"])
        for c, e in document.items()
    }


def _weighted_to_document(weighted: WeightedLosses) -> dict[str, Any]:
    return {
        "thresholds": list(weighted.thresholds),
        "losses": list(weighted.losses),
        "total": weighted.total,
        "effective_n": weighted.effective_n,
    }


def _weighted(c: str, document: Mapping[str, Any]) -> WeightedLosses:
    thresholds, losses = (tuple(float(value) for value in document[name]) for name in ("thresholds", "losses"))
    if len(thresholds) != len(losses) or not losses or list(losses) != sorted(losses):
        raise ValueError(f"class {c}: thresholds and weighted losses do not fit.")
    return WeightedLosses(thresholds, losses, float(document["total"]), float(document["effective_n"]))


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1
