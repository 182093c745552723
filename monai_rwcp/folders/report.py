"""The report of a folder of prediction sets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from monai.data import MetaTensor

from monai_rwcp.conformal import Calibration, LabelMode, curve_thresholds
from monai_rwcp.conformal.storage import to_document
from monai_rwcp.folders.log import LOG_NAME
from monai_rwcp.folders.maps import read_grid_file, read_map, read_set_like
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.report.case_maps import CaseMaps
from monai_rwcp.report.gathered import GatheredReport
from monai_rwcp.walk.progress import shown_progress

__all__ = ["folder_report"]


def folder_report(
    cases: Sequence[FolderCase], calibration: Calibration, *, n_shown: int = 4, progress: bool = False
) -> str:
    """Measure the prediction sets of a folder and write their report.

    Where :py:func:`monai_rwcp.folders.predict_folder` has left its log beside the sets, the report shows set size
    against lambda, too.

    Args:
        cases: sets in the place of maps, with labels, and with images and inner sets where slices are to show them;
            see :py:func:`monai_rwcp.folders.match_folders`.
        calibration: what the sets were made with.
        n_shown: how many of the worst sets, by missed share, are shown slice by slice.
        progress: whether a progress bar is shown.

    Returns:
        the page, HTML.

    Raises:
        OSError: when a file is missing.
        ValueError: when a case does not fit, or the log tells of another calibration; the message names the file.
        ImportError: when matplotlib or scipy is missing.
    """
    gathered = GatheredReport(calibration, n_shown)
    folders = {case.map.parent for case in cases}
    sizes = {folder: _recorded_sizes(folder, calibration) for folder in folders}
    with shown_progress(len(cases), progress, "report", "case") as advance:
        for case in cases:
            maps = _maps(case, calibration, sizes[case.map.parent].get(case.name))
            try:
                gathered.add(maps)
            except ValueError as error:
                raise ValueError(f"'{case.map}': {error}") from error
            advance(1)
    return gathered.page()


def _maps(case: FolderCase, calibration: Calibration, sizes: Mapping[int, Sequence[int]] | None) -> CaseMaps:
    if case.label is None:
        raise ValueError(f"'{case.name}' has no label, and a report is of labelled cases.")
    found = read_map(case.map, "channels-last")
    if found.shape[0] != calibration.n_channels:
        raise ValueError(
            f"'{case.map}' has {found.shape[0]} channels, but the calibration {calibration.n_channels}: it was made "
            "with another one."
        )

    def image() -> MetaTensor:
        assert case.image is not None
        return read_grid_file(case.image, found)

    return CaseMaps(
        case.name,
        case.unit,
        found,
        read_grid_file(case.label, found),
        cast("LabelMode", calibration.label_mode),
        inner=None if case.inner is None else read_set_like(case.inner, found),
        image=None if case.image is None else image,
        sizes=sizes,
    )


def _recorded_sizes(folder: Path, calibration: Calibration) -> dict[str, dict[int, list[int]]]:
    """What the log beside the sets says of their sizes, by case; nothing where there is none, or an old one."""
    path = folder / LOG_NAME
    if not path.is_file():
        return {}
    try:
        log = json.loads(path.read_text(encoding="utf-8"))
        made_with, thresholds = log["made_with"]["calibration"], log.get("thresholds")
        entries = {name: entry["voxels_at"] for name, entry in log["cases"].items() if "voxels_at" in entry}
        sizes = {name: {c: entry[str(c)] for c in calibration.classes} for name, entry in entries.items()}
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"'{path}' is not the log of monai-rwcp predict, or was changed: {error!r}.") from error
    if made_with != to_document(calibration)["digest"]:
        raise ValueError(
            f"'{path}' tells that the sets there were made with another calibration. Give the one that made them."
        )
    return sizes if thresholds == curve_thresholds().tolist() else {}
