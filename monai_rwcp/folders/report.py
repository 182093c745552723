"""The report of a folder of prediction sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from monai.data import MetaTensor
from monai.transforms import Orientation

from monai_rwcp.conformal import Calibration, LabelMode, truth_masks
from monai_rwcp.folders.maps import read_grid_file, read_map
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.metrics import prediction_set_metrics
from monai_rwcp.report.page import ReportCase, ShownCase, report_page
from monai_rwcp.report.slices import slice_pictures
from monai_rwcp.walk.progress import shown_progress

__all__ = ["folder_report"]


def folder_report(
    cases: Sequence[FolderCase], calibration: Calibration, *, n_shown: int = 4, progress: bool = False
) -> str:
    """Measure the prediction sets of a folder and write their report.

    Args:
        cases: sets in the place of maps, with labels, and with images where slices are to show them; see
            :py:func:`monai_rwcp.folders.match_folders`.
        calibration: what the sets were made with.
        n_shown: how many of the worst sets, by missed share, are shown slice by slice.
        progress: whether a progress bar is shown.

    Returns:
        the page, HTML.

    Raises:
        OSError: when a file is missing.
        ValueError: when a case does not fit; the message names it.
        ImportError: when matplotlib or scipy is missing.
    """
    measured = []
    with shown_progress(len(cases), progress, "report", "case") as advance:
        for case in cases:
            found, truths = _loaded(case, calibration)
            spacing = [float(size) for size in found.pixdim]
            figures = {
                c: prediction_set_metrics(found.as_tensor()[c], truths[c], spacing=spacing) for c in calibration.classes
            }
            measured.append(ReportCase(case.name, case.unit, figures))
            advance(1)
    ranked = sorted(
        (
            (figures.false_negative_rate, number, c)
            for number, case in enumerate(measured)
            for c, figures in case.figures.items()
            if figures.true
        ),
        key=lambda entry: (-entry[0], entry[1:]),
    )
    shown = [_shown(cases[number], calibration, c, rate) for rate, number, c in ranked[:n_shown]]
    return report_page(calibration, measured, shown, "mm")


def _loaded(case: FolderCase, calibration: Calibration) -> tuple[MetaTensor, dict]:
    if case.label is None:
        raise ValueError(f"'{case.name}' has no label, and a report is of labelled cases.")
    found = read_map(case.map, "channels-last")
    if found.shape[0] != calibration.n_channels:
        raise ValueError(
            f"'{case.map}' has {found.shape[0]} channels, but the calibration {calibration.n_channels}: it was made "
            "with another one."
        )
    label = read_grid_file(case.label, found).as_tensor()
    mode = cast("LabelMode", calibration.label_mode)
    masks = truth_masks(label, found.as_tensor(), tuple(calibration.classes), mode, None)
    return found, dict(masks)


def _shown(case: FolderCase, calibration: Calibration, c: int, rate: float) -> ShownCase:
    found, truths = _loaded(case, calibration)
    image = None if case.image is None else read_grid_file(case.image, found)
    # Pictures of all programs look the same way round: the patient's right, front and head.
    lying = _turned(found.as_tensor(), found)
    truth, claimed = _turned(truths[c][None].float(), found)[0].numpy() > 0.5, lying[c].numpy() > 0.5
    picture = None if image is None else _turned(image.as_tensor(), found)[0].numpy()
    slices = slice_pictures(picture, truth, claimed, tuple(float(size) for size in lying.pixdim))
    missed = (truth & ~claimed).reshape(*truth.shape[:2], -1).sum(axis=(0, 1))
    start = max(range(len(slices)), key=lambda i: missed[slices[i][0]])
    return ShownCase(f"{case.name}, {calibration.class_name(c)}: {rate:.1%} missed", slices, start)


def _turned(values: torch.Tensor, like: MetaTensor) -> MetaTensor:
    lying = MetaTensor(values, affine=like.affine)
    return lying if lying.ndim == 3 else cast("MetaTensor", Orientation(axcodes="RAS", labels=None)(lying))
