"""Prediction sets and scores as DICOM segmentation objects that refer to the images they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from monai_rwcp.dicom.series import Series
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.score_range import looks_like
from monai_rwcp.version import __version__

try:
    from highdicom import UID, AlgorithmIdentificationSequence
    from highdicom.seg import (
        SegmentAlgorithmTypeValues,
        Segmentation,
        SegmentationFractionalTypeValues,
        SegmentationTypeValues,
        SegmentDescription,
    )
    from highdicom.sr.coding import CodedConcept
    from pydicom.sr.codedict import codes
except ModuleNotFoundError as error:
    raise ImportError('DICOM needs pydicom and highdicom: pip install "monai-rwcp[dicom]".') from error

__all__ = ["Anatomy", "Segment", "write_scores", "write_sets"]


@dataclass(frozen=True)
class Anatomy:
    """What a segment shows, as a code.

    Args:
        value: the code, such as ``"87878005"``.
        scheme: its coding scheme, such as ``"SCT"`` (SNOMED CT).
        meaning: in words, such as ``"Left ventricle"``.
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Segment:
    """One set or score.

    Args:
        label: for the viewer's list, such as "left ventricle, outer set"; at most 64 characters.
        anatomy: what it shows.
        values: ``[columns, rows, slices]`` on the grid of the series: zeros and ones for a set, [0, 1] for a score. A
            `MetaTensor` tells where it lies, and is compared with the series.
    """

    label: str
    anatomy: Anatomy
    values: torch.Tensor


def write_sets(
    path: str | Path, series: Series, segments: Sequence[Segment], *, promise: str, series_number: int = 900
) -> None:
    """Write prediction sets, such as inner and outer ones, as the binary segments of one object.

    Args:
        path: the file; it appears whole or not at all.
        series: the images that the sets were made of.
        segments: the sets; they may overlap, and an empty one is kept as a segment without frames.
        promise: what the sets keep, for the description of the object; its first 64 characters fit.
        series_number: of the new series.

    Raises:
        ValueError: when a set is on another grid, holds other values than 0 and 1, has a label that is too long, or all
            sets are empty.
        OSError: when the file cannot be written.

    Source: DICOM PS3.3, section A.51 (segmentation IOD).
    """
    for segment in segments:
        if not ((segment.values == 0) | (segment.values == 1)).all():
            raise ValueError(f"The set '{segment.label}' holds other values than 0 and 1. Write a score as a score.")
    _write(path, series, segments, "BINARY", promise, series_number)


def write_scores(
    path: str | Path, series: Series, segments: Sequence[Segment], *, description: str, series_number: int = 901
) -> None:
    """Write scores, such as walked probabilities, as the fractional segments of one object, in steps of 1/255.

    Args:
        path: the file; it appears whole or not at all.
        series: the images that the scores were made of.
        segments: the scores, in [0, 1].
        description: of the object; its first 64 characters fit.
        series_number: of the new series.

    Raises:
        ValueError: when a score is on another grid, leaves [0, 1], or has a label that is too long.
        OSError: when the file cannot be written.

    Source: DICOM PS3.3, section C.8.20.2 (segmentation image module, fractional type PROBABILITY).
    """
    for segment in segments:
        if not ((segment.values >= 0) & (segment.values <= 1)).all():
            found = looks_like(torch.as_tensor(segment.values)[None])
            raise ValueError(f"The score '{segment.label}' leaves [0, 1]. {found}")
    _write(path, series, segments, "FRACTIONAL", description, series_number)


def _write(
    path: str | Path,
    series: Series,
    segments: Sequence[Segment],
    kind: Literal["BINARY", "FRACTIONAL"],
    description: str,
    series_number: int,
) -> None:
    shape = tuple(series.volume.shape[1:])
    warned: set[tuple[str, str]] = set()
    for segment in segments:
        if tuple(segment.values.shape) != shape:
            raise ValueError(
                f"'{segment.label}' has the shape {tuple(segment.values.shape)}, but the series has {shape} "
                "(columns, rows, slices). Bring it to the grid of the series first: put Invertd into the chain."
            )
        maps = {"segment": (segment.label, segment.values[None]), "series": (series.name, series.volume)}
        check_same_grid(maps, warned, mend="Bring it to the grid of the series first: put Invertd into the chain.")
        if not 0 < len(segment.label) <= 64:
            raise ValueError(f"Expected a label of 1 to 64 characters, but got {segment.label!r}.")
    if not segments or not any(bool(segment.values.any()) for segment in segments):
        raise ValueError("There is nothing to write: no segment holds a voxel.")
    # Frames are slices of rows and columns.
    dtype = np.uint8 if kind == "BINARY" else np.float32
    arrays = [torch.as_tensor(segment.values).cpu().numpy().astype(dtype).transpose(2, 1, 0) for segment in segments]
    written = Segmentation(
        source_images=list(series.slices),
        pixel_array=np.stack(arrays, axis=-1),
        segmentation_type=SegmentationTypeValues[kind],
        segment_descriptions=[_description(number, segment) for number, segment in enumerate(segments, start=1)],
        series_instance_uid=UID(),
        series_number=series_number,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer="monai_rwcp",
        manufacturer_model_name="Random-walk conformal prediction",
        software_versions=__version__,
        device_serial_number="none",
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        content_label="PREDICTION_SET" if kind == "BINARY" else "SCORE",
        content_description=description[:64],
        series_description="Prediction sets" if kind == "BINARY" else "Scores",
    )
    with written_whole(path) as temporary:
        written.save_as(temporary)


def _description(number: int, segment: Segment) -> SegmentDescription:
    code: Any = segment.anatomy
    return SegmentDescription(
        segment_number=number,
        segment_label=segment.label,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=CodedConcept(code.value, code.scheme, code.meaning),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name="monai_rwcp: random-walk conformal prediction",
            version=__version__,
            family=codes.DCM.ArtificialIntelligence,
        ),
    )
