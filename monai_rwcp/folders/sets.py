"""Reading the prediction sets that `predict_folder` has left in a folder, with its log of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from monai.data import MetaTensor

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.folders.maps import read_set_file
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.utils.files import file_hash, is_plain_name
from monai_rwcp.utils.json_documents import read_json
from monai_rwcp.utils.json_types import check_types

__all__ = ["LOG_NAME", "check_as_logged", "check_made_with", "read_log", "read_set"]

LOG_NAME = "run.json"


class _Set(TypedDict):
    made_of: dict[str, list[int]]
    voxels: list[int]
    voxels_at: NotRequired[dict[str, list[int]]]
    seconds: float
    hash: str


class _Log(TypedDict):
    made_with: dict[str, Any]
    promise: str
    thresholds: list[float]
    cases: dict[str, _Set]


def read_log(path: Path) -> dict[str, Any]:
    """Read a log of sets.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it is damaged or something else, or names files elsewhere.
    """
    log = read_json(path, "log of prediction sets", "Make the sets with monai-rwcp predict")
    try:
        check_types(log, _Log, "it")
    except ValueError as error:
        raise ValueError(
            f"'{path}' is not the log of monai-rwcp predict, is of an earlier release, or was changed: {error}. Make "
            "the sets anew in another folder."
        ) from error
    for name in log["cases"]:
        if not is_plain_name(name):
            raise ValueError(
                f"'{path}' names {name!r}, which is no name of a file in its folder: it was changed. Make the sets "
                "anew in another folder."
            )
    return log


def check_as_logged(path: Path, entry: dict[str, Any]) -> None:
    """Refuse a set that is not the file that its log tells of.

    Raises:
        ValueError: when it is another, or no file.
    """
    if not path.is_file() or file_hash(path) != entry["hash"]:
        raise ValueError(
            f"'{path}' is not what predict wrote: it was changed or exchanged since. Put back what was written; or "
            "take it away, and run predict once more, which makes it anew."
        )


def check_made_with(cases: Iterable[FolderCase], calibration: Calibration) -> dict[Path, dict[str, Any]]:
    """Refuse sets that another calibration has made, where the log beside them tells.

    Args:
        cases: with sets in the place of maps.
        calibration: what they should be made with.

    Returns:
        the log of each folder that has one.

    Raises:
        ValueError: when the log tells of another calibration, or does not know a set; the message names it.
    """
    cases = list(cases)
    paths = {folder: folder / LOG_NAME for folder in {case.map.parent for case in cases}}
    logs = {folder: read_log(path) for folder, path in paths.items() if path.is_file()}
    expected = calibration.to_document()["digest"]
    for folder, log in logs.items():
        if log["made_with"].get("calibration") != expected:
            raise ValueError(
                f"'{paths[folder]}' tells that the sets there were made with another calibration. Give the one that "
                "made them, or make the sets anew with this one."
            )
    for case in cases:
        path = paths[case.map.parent]
        if case.map.parent in logs and case.name not in logs[case.map.parent]["cases"]:
            raise ValueError(
                f"'{path}' knows nothing of '{case.map.name}': predict did not make it, or was interrupted. Run "
                "predict once more, or take the file away."
            )
        if case.map.parent in logs:
            _check_sizes(path, case.name, logs[case.map.parent], calibration)
    return logs


def _check_sizes(path: Path, name: str, log: Mapping[str, Any], calibration: Calibration) -> None:
    sizes = log["cases"][name].get("voxels_at")
    of_all = {str(c): len(log["thresholds"]) for c in calibration.classes}
    if sizes is not None and {c: len(of_class) for c, of_class in sizes.items()} != of_all:
        raise ValueError(
            f"'{path}' does not tell the sizes of the set of '{name}' for each class and threshold: it was changed. "
            "Make the sets anew in another folder."
        )


def read_set(case: FolderCase, calibration: Calibration, logs: Mapping[Path, dict[str, Any]]) -> MetaTensor:
    """Read the prediction set of a case.

    Args:
        case: with its set in the place of the map.
        calibration: what it was made with.
        logs: of :py:func:`check_made_with`.

    Returns:
        float32 ``[C, *spatial]`` of 0 and 1.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when it cannot be read, is not the file that its log tells of, or has other channels than the
            calibration.
    """
    if case.map.parent in logs:
        check_as_logged(case.map, logs[case.map.parent]["cases"][case.name])
    found = read_set_file(case.map)
    if found.shape[0] != calibration.n_channels:
        raise ValueError(
            f"'{case.map}' has {found.shape[0]} channels, but the calibration {calibration.n_channels}: the set was "
            "made with another calibration. Give the one that made it."
        )
    return found
