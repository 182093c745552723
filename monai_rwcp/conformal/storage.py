"""The calibration's JSON form: written whole or not at all, and refused when it is not what was written."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_rwcp.files import written_whole

if TYPE_CHECKING:
    from monai_rwcp.conformal.calibration import Calibration

__all__ = ["check_options", "digest", "from_document", "read_json", "to_document", "write_json"]

_FORMAT = "monai_rwcp.calibration"
_VERSION = 1
_PLAIN = ("alpha", "loss", "method", "scope", "unit_loss", "empty", "outside", "label_mode", "unit_name", "n_channels")
_ALLOWED = {
    "loss": ("fnr",),
    "method": ("crc",),
    "scope": ("per_class", "maximum"),
    "unit_loss": ("pooled", "mean"),
    "empty": ("exclude", "zero"),
    "outside": ("include", "exclude"),
    "label_mode": ("index", "one_hot", "regions"),
}


def to_document(calibration: Calibration) -> dict[str, Any]:
    """Turn a calibration into its JSON document, with the digest that shows later changes."""
    document: dict[str, Any] = {"format": _FORMAT, "version": _VERSION, "promise": calibration.promise}
    document |= {name: getattr(calibration, name) for name in _PLAIN}
    document["n_images"] = calibration.n_images
    document["class_names"] = None if calibration.class_names is None else list(calibration.class_names)
    document["classes"] = {
        str(c): {
            "lambda_hat": entry.lambda_hat,
            "threshold": entry.threshold,
            "n": entry.n,
            "empirical_risk": entry.empirical_risk,
            "working_level": entry.working_level,
        }
        for c, entry in calibration.classes.items()
    }
    document |= {
        "provenance": dict(calibration.provenance),
        "packages": dict(calibration.packages),
        "created": calibration.created,
    }
    document["digest"] = digest(document)
    return document


def from_document(document: Any, path: str | Path) -> Calibration:
    """Turn a JSON document into a calibration, or say why it is none."""
    from monai_rwcp.conformal.calibration import Calibration, ClassCalibration

    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError(f"Expected a calibration written by monai_rwcp in '{path}', but it is something else.")
    if document.get("version") != _VERSION:
        raise ValueError(
            f"'{path}' is a calibration of version {document.get('version')!r}, but this monai_rwcp reads version "
            f"{_VERSION}. Use the release that wrote it, or calibrate anew."
        )
    if document.get("digest") != digest(document):
        raise ValueError(
            f"'{path}' was changed after it was written: its digest does not fit. A changed threshold keeps no "
            "promise. Restore the file or calibrate anew."
        )
    try:
        _check_values(document)
        return Calibration(
            **{name: document[name] for name in _PLAIN},
            n_images=document["n_images"],
            class_names=None if document["class_names"] is None else tuple(document["class_names"]),
            classes={
                int(c): ClassCalibration(e["threshold"], e["n"], e["empirical_risk"], e["working_level"])
                for c, e in document["classes"].items()
            },
            provenance=document["provenance"],
            packages=document["packages"],
            created=document["created"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The calibration '{path}' lacks a field or has one of the wrong kind: {error}.") from error
    except ValueError as error:
        raise ValueError(f"The calibration '{path}' contradicts itself: {error}") from error


def read_json(path: str | Path, what: str = "calibration", how: str | None = None) -> Any:
    """Read a JSON file, with an error that names it when it is missing or damaged.

    Args:
        path: the file.
        what: what it is to hold, for messages.
        how: how such a file is made, for messages; None tells how a calibration is.

    Raises:
        FileNotFoundError: when there is no file.
        ValueError: when it is not JSON.
    """
    if how is None:
        how = f"Run the evaluator with ConformalCalibrationHandler(output_path='{path}') first"
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no {what} at '{path}'. {how}, or correct the path.")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"'{path}' is damaged: it is not JSON ({error}). Restore it or make the {what} anew."
        ) from error


def write_json(document: Any, path: str | Path) -> None:
    """Write a JSON file that appears whole or not at all."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def digest(document: dict[str, Any]) -> str:
    """What a document's "digest" must be, by all its other fields: it shows a later change.

    Args:
        document: JSON values.

    Returns:
        the SHA-256 of its other fields, in sorted order.

    Example:
        >>> digest({"a": 1}) == digest({"digest": "any", "a": 1}), digest({"a": 1})[:11]
        (True, 'sha256:015a')
    """
    content = {name: value for name, value in document.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def check_options(**options: Any) -> None:
    """Refuse options of a calibration that are not offered.

    Args:
        options: any of ``loss``, ``method``, ``scope``, ``unit_loss``, ``empty``, ``outside`` and ``label_mode``.

    Raises:
        ValueError: when one has another value; the message names it.
    """
    for name, value in options.items():
        if value not in _ALLOWED[name]:
            raise ValueError(f"Expected `{name}` to be one of {', '.join(_ALLOWED[name])}, but got {value!r}.")


def _check_values(document: dict[str, Any]) -> None:
    # The digest finds a changed file; this finds a file made wrong, whoever made it.
    alpha = document["alpha"]
    if not _is_share(alpha) or not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha!r}, which is not in (0, 1).")
    check_options(**{name: document[name] for name in _ALLOWED})
    for name in ("n_channels", "n_images"):
        if not isinstance(document[name], int) or document[name] < 1:
            raise ValueError(f"{name} is {document[name]!r}, which is not a positive whole number.")
    names = document["class_names"]
    if names is not None and len(names) != document["n_channels"]:
        raise ValueError(f"there are {len(names)} class names for {document['n_channels']} channels.")
    if not document["classes"]:
        raise ValueError("it holds no class.")
    for c, entry in document["classes"].items():
        if not c.isdecimal() or int(c) >= document["n_channels"]:
            raise ValueError(f"class {c} is not one of the {document['n_channels']} channels.")
        _check_class(c, entry, alpha)


def _check_class(c: str, entry: dict[str, Any], alpha: float) -> None:
    threshold, n, risk = entry["threshold"], entry["n"], entry["empirical_risk"]
    if not _is_share(threshold) or not _is_share(risk) or entry["lambda_hat"] != 1.0 - threshold:
        raise ValueError(f"class {c}: threshold {threshold!r}, lambda_hat {entry['lambda_hat']!r}, risk {risk!r}.")
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise ValueError(f"class {c}: n is {n!r}.")
    if threshold > 0 and n * risk > alpha * (n + 1) - 1 + 1e-9:
        raise ValueError(
            f"class {c}: a mean loss of {risk:.6g} on {n} units is more than alpha = {alpha} allows at a threshold "
            "above 0."
        )


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1
