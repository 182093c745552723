"""Prediction sets and scores as DICOM segmentation objects that refer to the images they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from monai_rwcp.dicom.anatomy import Anatomy, category_of
from monai_rwcp.dicom.headers import shown
from monai_rwcp.dicom.made import made_in_full, scores_in_words
from monai_rwcp.dicom.series import Series
from monai_rwcp.dicom.sources import source_headers
from monai_rwcp.dicom.texts import LINE, PARAGRAPH, PARAGRAPHS, UTF8, checked_text, is_told_in_utf8, line_of
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.score_range import looks_like
from monai_rwcp.version import __version__

with needed("DICOM needs", "dicom", "pydicom", "highdicom"):
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

__all__ = ["Segment", "write_scores", "write_sets"]

_IN_COMMENTS = "See Image Comments (0020,4000) of this object."


@dataclass(frozen=True)
class Segment:
    """One set or score.

    Args:
        label: for the viewer's list, such as "left ventricle, outer set"; at most 64 characters.
        anatomy: what it shows.
        values: ``[columns, rows, slices]`` on the grid of the series: zeros and ones for a set, [0, 1] for a score. A
            `MetaTensor` tells where it lies, and is compared with the series.
        description: what is said of this segment alone, at most 1024 characters, such as its own promise; by default
            that of the object.
    """

    label: str
    anatomy: Anatomy
    values: torch.Tensor
    description: str = ""


def write_sets(
    path: str | Path,
    series: Series,
    segments: Sequence[Segment],
    *,
    promise: str,
    record: ScoreRecord = UNRECORDED,
    series_number: int = 900,
) -> None:
    """Write prediction sets, such as inner and outer ones, as the binary segments of one object.

    Args:
        path: the file; it appears whole or not at all.
        series: the images that the sets were made of.
        segments: the sets; they may overlap, and an empty one is kept as a segment without frames.
        promise: what the sets keep, at most 10240 characters. The whole of it stands in Image Comments, and in each
            Segment Description and in Content Description where it fits.
        record: how the scores were made that the sets were made of, such as ``calibration.provenance``.
        series_number: of the new series.

    Raises:
        ValueError: when a set is on another grid, holds other values than 0 and 1, or all sets are empty; when a text
            is too long or cannot be held; or when the headers of the series lack what an object needs. The message says
            which.
        OSError: when the file cannot be written.

    Source: DICOM PS3.3, section A.51 (segmentation IOD).
    """
    for segment in segments:
        if not ((segment.values == 0) | (segment.values == 1)).all():
            raise ValueError(f"The set '{segment.label}' holds other values than 0 and 1. Write a score as a score.")
    _write(path, series, segments, "BINARY", promise, record, series_number)


def write_scores(
    path: str | Path,
    series: Series,
    segments: Sequence[Segment],
    *,
    description: str,
    record: ScoreRecord = UNRECORDED,
    series_number: int = 901,
) -> None:
    """Write scores, such as walked probabilities, as the fractional segments of one object, in steps of 1/255.

    Args:
        path: the file; it appears whole or not at all.
        series: the images that the scores were made of.
        segments: the scores, in [0, 1].
        description: of the object, see ``promise`` of :py:func:`write_sets`.
        record: how they were made.
        series_number: of the new series.

    Raises:
        ValueError: when a score is on another grid or leaves [0, 1], and as :py:func:`write_sets`.
        OSError: when the file cannot be written.

    Source: DICOM PS3.3, section C.8.20.2 (segmentation image module, fractional type PROBABILITY).
    """
    for segment in segments:
        if not ((segment.values >= 0) & (segment.values <= 1)).all():
            found = looks_like(torch.as_tensor(segment.values)[None])
            raise ValueError(f"The score '{segment.label}' leaves [0, 1]. {found}")
    _write(path, series, segments, "FRACTIONAL", description, record, series_number)


def _write(
    path: str | Path,
    series: Series,
    segments: Sequence[Segment],
    kind: Literal["BINARY", "FRACTIONAL"],
    description: str,
    record: ScoreRecord,
    series_number: int,
) -> None:
    _check_values(series, segments)
    sources, as_in_source = source_headers(series)
    whole = checked_text(description, "the promise or description", PARAGRAPHS)
    scores = scores_in_words(record)
    # Frames are slices of rows and columns.
    dtype = np.uint8 if kind == "BINARY" else np.float32
    arrays = [torch.as_tensor(segment.values).cpu().numpy().astype(dtype).transpose(2, 1, 0) for segment in segments]
    described = [_described(number, segment, whole, kind, record) for number, segment in enumerate(segments, start=1)]
    try:
        written = Segmentation(
            source_images=sources,
            pixel_array=np.stack(arrays, axis=-1),
            segmentation_type=SegmentationTypeValues[kind],
            segment_descriptions=described,
            series_instance_uid=UID(),
            series_number=series_number,
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer="monai_rwcp",
            manufacturer_model_name="monai_rwcp",
            software_versions=__version__,
            device_serial_number="none",
            fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
            content_label="PREDICTION_SET" if kind == "BINARY" else "SCORE",
            series_description=f"Prediction sets of {scores}" if kind == "BINARY" else scores.capitalize(),
            specific_character_set=UTF8,
        )
    except Exception as error:  # highdicom refuses headers in many ways
        raise _unfit(series, error) from error
    written.ContentDescription = line_of(whole)
    written.ImageComments = whole
    full = made_in_full(record)
    written.DerivationDescription = full if len(full) <= PARAGRAPH else "See Algorithm Parameters of the segments."
    for name, element in as_in_source.items():
        written[name] = element
    own = [whole, line_of(whole), written.DerivationDescription, written.SeriesDescription]
    own += [text for s in segments for text in (s.label.strip(), s.anatomy.meaning.strip(), s.description.strip())]
    if not is_told_in_utf8(written, own, series.slices[0]):
        del written.SpecificCharacterSet
    with written_whole(path) as temporary:
        try:
            written.save_as(temporary)
        except OSError:
            raise
        except Exception as error:  # pydicom refuses values that it cannot encode
            raise _unfit(series, error) from error


def _unfit(series: Series, error: Exception) -> ValueError:
    why = f"{type(error).__name__}: {shown(error, 300)}"
    return ValueError(f"No segmentation object can be made for the series '{series.name}': {why}")


def _check_values(series: Series, segments: Sequence[Segment]) -> None:
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
    if not segments or not any(bool(segment.values.any()) for segment in segments):
        raise ValueError("There is nothing to write: no segment holds a voxel.")


def _described(number: int, segment: Segment, whole: str, kind: str, record: ScoreRecord) -> SegmentDescription:
    code = segment.anatomy
    label = checked_text(segment.label, "the label of a segment")
    parts = {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}
    checked = [
        checked_text(part, f"the {name} of the code of '{label}'", 16 if name == "scheme" else LINE)
        for name, part in parts.items()
    ]
    name = f"conformal prediction, {scores_in_words(record)}" if kind == "BINARY" else scores_in_words(record)
    made = AlgorithmIdentificationSequence(
        name=f"monai_rwcp: {name}", version=__version__, family=codes.DCM.ArtificialIntelligence
    )
    made[0].AlgorithmParameters = checked_text(made_in_full(record), "what was done to the map", PARAGRAPHS)
    described = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=category_of(code),
        segmented_property_type=CodedConcept(*checked),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=made,
    )
    said = segment.description or (whole if len(whole) <= PARAGRAPH else _IN_COMMENTS)
    described.SegmentDescription = checked_text(said, f"the description of '{label}'", PARAGRAPH)
    return described
