"""Reading the prediction sets that `predict_folder` has left in a folder, with its log of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.folders.maps import read_map
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.utils.json_documents import read_json

__all__ = ["LOG_NAME", "check_made_with", "read_log", "read_set"]

LOG_NAME = "run.json"


def read_log(path: Path) -> dict[str, Any]:
    """Read a log of sets.

    Raises:
        FileNotFoundError: when it is not there.
        ValueError: when it is damaged or something else.
    """
    log = read_json(path, "log of prediction sets", "Make the sets with monai-rwcp predict")
    if not isinstance(log, dict) or not all(isinstance(log.get(name), dict) for name in ("made_with", "cases")):
        raise ValueError(f"'{path}' is not the log of monai-rwcp predict, or was changed. Make the sets anew.")
    return log


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
                "made them."
            )
    for case in cases:
        path = paths[case.map.parent]
        if case.map.parent in logs and case.name not in logs[case.map.parent]["cases"]:
            raise ValueError(
                f"'{path}' knows nothing of '{case.map.name}': it is of an earlier run, or its run was interrupted. "
                "Let predict finish, or take the file away."
            )
    return logs


def read_set(case: FolderCase, calibration: Calibration) -> MetaTensor:
    """Read the prediction set of a case.

    Returns:
        float32 ``[C, *spatial]`` of 0 and 1.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when it cannot be read, or has other channels than the calibration.
    """
    found = read_map(case.map, "channels-last")
    if found.shape[0] != calibration.n_channels:
        raise ValueError(
            f"'{case.map}' has {found.shape[0]} channels, but the calibration {calibration.n_channels}: it was made "
            "with another one."
        )
    return found
