"""Whether images are grey slices of one series of one patient, each of them once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from monai_rwcp.dicom.headers import file_of, has_value, number, numbers, shown, text, value, whole_number

__all__ = ["check_grey_slice", "check_one_series"]

_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}


def check_one_series(found: list[Any], path: Path) -> None:
    """Refuse what is no series of parallel grey slices.

    Args:
        found: the data sets.
        path: the folder, for messages.

    Raises:
        ValueError: when it is not; the message names folder or file, and what was found.
    """
    for dataset in found:
        check_grey_slice(dataset, path)
    for name in (*_PLACE, "SeriesInstanceUID"):
        lacking = [dataset for dataset in found if not has_value(dataset, name)]
        if lacking:
            why = "nobody can tell which series they are of" if name == "SeriesInstanceUID" else "no slices in space"
            raise ValueError(
                f"{len(lacking)} of {len(found)} images in '{path}' have no {name}, such as '{file_of(lacking[0])}': "
                f"{'they are ' if why.startswith('no ') else ''}{why}."
            )
    series = {text(dataset, "SeriesInstanceUID"): dataset for dataset in reversed(found)}
    if len(series) > 1:
        named = [f"{shown(uid)} ('{Path(file_of(of)).name}')" for uid, of in sorted(series.items())[:5]]
        raise ValueError(
            f"'{path}' holds {len(series)} series, and nobody said which is meant: {', '.join(named)}. Give each a "
            "folder of its own."
        )
    _check_each_once(found)
    for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "Modality", "RescaleType", "Units"):
        values: dict[str, Any] = {}
        for dataset in found:
            values.setdefault(text(dataset, name), dataset)
        if len(values) > 1:
            one, other = (file_of(dataset) for dataset in list(values.values())[:2])
            raise ValueError(
                f"The slices in '{path}' differ in {name} ('{one}' and '{other}'): they are no one series of one "
                "patient. Separate them."
            )
    for name, n in {"Rows": 1, "Columns": 1, "PixelSpacing": 2, "ImageOrientationPatient": 6}.items():
        values_of = np.array([numbers(dataset, name, n) for dataset in found])
        if np.abs(values_of - values_of[0]).max() > 1e-4:
            raise ValueError(
                f"The slices in '{path}' differ in {name} ({shown(values_of.min(axis=0))} to "
                f"{shown(values_of.max(axis=0))}): they are no parallel stack (a localiser among them?)."
            )


def check_grey_slice(dataset: Any, path: Path) -> None:
    """Refuse an image of several frames, colours, or without rows.

    Args:
        dataset: the image.
        path: its folder, or its file, for messages.

    Raises:
        ValueError: when it is no single grey slice; the message names the file.
    """
    if "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset:
        raise ValueError(
            f"'{file_of(dataset)}' is an enhanced multi-frame image or a segmentation object, and these cannot be "
            "read. Take it out, or convert the series to single slices first (such as with dcm4che's emf2sf)."
        )
    frames = number(dataset, "NumberOfFrames") if has_value(dataset, "NumberOfFrames") else 1
    if frames != 1 or whole_number(dataset, "SamplesPerPixel") != 1:
        raise ValueError(
            f"'{path}' holds images of several frames or colours, such as '{file_of(dataset)}'; one grey slice a file "
            "can be read."
        )
    shown_as = text(dataset, "PhotometricInterpretation")
    if shown_as not in ("MONOCHROME1", "MONOCHROME2"):
        raise ValueError(
            f"Expected PhotometricInterpretation of '{file_of(dataset)}' to be MONOCHROME1 or MONOCHROME2, but got "
            f"{shown(shown_as)}: the values of palettes and colours are no grey values. Fetch the series in grey."
        )
    for name in ("Rows", "Columns"):
        if not whole_number(dataset, name):
            raise ValueError(f"Expected {name} of '{file_of(dataset)}' to be at least 1. Its header is damaged.")


def _check_each_once(found: list[Any]) -> None:
    first: dict[str, Any] = {}
    for dataset in found:
        own = str(value(dataset, "SOPInstanceUID") or "")
        if own and own in first:
            raise ValueError(
                f"'{file_of(first[own])}' and '{file_of(dataset)}' are copies of one image (SOPInstanceUID "
                f"{shown(own)}). Take one out."
            )
        first[own] = dataset
