"""The report of a folder of prediction sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.data import MetaTensor

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.set_sizes import curve_thresholds
from monai_rwcp.folders.maps import read_image, read_set_like
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.folders.sets import check_made_with, read_set
from monai_rwcp.folders.truth import read_truth, truth_form_of_sets
from monai_rwcp.report.case_maps import CaseMaps
from monai_rwcp.report.gathered import GatheredReport
from monai_rwcp.utils.names import UNNAMED
from monai_rwcp.utils.progress import shown_progress

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
        ValueError: when a case does not fit, or the log tells of another calibration or another file of a set; the
            message names the file.
        ImportError: when matplotlib or scipy is missing.
    """
    gathered = GatheredReport(calibration, n_shown)
    logs = check_made_with(cases, calibration)
    warned: set[tuple[str, str]] = set()
    with shown_progress(len(cases), progress, "report", "case") as advance:
        for case in cases:
            maps = _maps(case, calibration, logs, warned)
            try:
                gathered.add(maps)
            except ValueError as error:
                raise ValueError(f"'{case.map}': {error}") from error
            advance(1)
    named = {case.unit_name for case in cases} - set(UNNAMED)
    return gathered.page(None if named and calibration.unit_name not in UNNAMED else "patient" if named else "case")


def _maps(
    case: FolderCase,
    calibration: Calibration,
    logs: Mapping[Path, dict[str, Any]],
    warned: set[tuple[str, str]],
) -> CaseMaps:
    if case.label is None:
        raise ValueError(f"'{case.name}' has no label, and a report is of labelled cases.")
    found = read_set(case, calibration, logs)

    def image() -> MetaTensor:
        assert case.image is not None
        return read_image(case.image)

    return CaseMaps(
        case.name,
        case.unit,
        found,
        read_truth(case.label, found, truth_form_of_sets(calibration, logs.get(case.map.parent)), warned),
        calibration.counting.label_mode,
        inner=None if case.inner is None else read_set_like(case.inner, found, warned),
        image=None if case.image is None else image,
        sizes=_recorded_sizes(case, logs.get(case.map.parent), calibration),
    )


def _recorded_sizes(
    case: FolderCase, log: Mapping[str, Any] | None, calibration: Calibration
) -> dict[int, list[int]] | None:
    """What the log beside the sets says of the sizes of one; nothing where there is none, or an old one."""
    if log is None or log.get("thresholds") != curve_thresholds().tolist():
        return None
    at = log["cases"][case.name].get("voxels_at")
    return None if at is None else {c: at[str(c)] for c in calibration.classes}
