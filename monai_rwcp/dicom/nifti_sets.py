"""Prediction sets that lie in a NIfTI file, as a segmentation object of the series they were made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.promises.promise_words import promise_in_words
from monai_rwcp.dicom.anatomy import Anatomy
from monai_rwcp.dicom.segmentation import Segment, write_sets
from monai_rwcp.dicom.series import Series
from monai_rwcp.dicom.texts import LINE, PARAGRAPH, PARAGRAPHS
from monai_rwcp.utils.image_files import read_image_file
from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.same_grid import check_same_grid

with needed("NIfTI files need", "demo", "nibabel"):
    import nibabel

__all__ = ["parsed_anatomies", "write_nifti_sets"]


def parsed_anatomies(texts: Iterable[str]) -> dict[int, Anatomy]:
    """A code for each channel, from ``CHANNEL=VALUE,SCHEME,MEANING``.

    Raises:
        ValueError: when one is of another form, or a channel comes twice.

    Example:
        >>> parsed_anatomies(["1=80891009,SCT,Heart"])
        {1: Anatomy(value='80891009', scheme='SCT', meaning='Heart')}
    """
    found: dict[int, Anatomy] = {}
    for text in texts:
        channel, _, code = text.partition("=")
        parts = [part.strip() for part in code.split(",", 2)]
        if not channel.isdecimal() or len(parts) != 3 or not all(parts):
            raise ValueError(f"Expected CHANNEL=VALUE,SCHEME,MEANING, such as 1=80891009,SCT,Heart, but got '{text}'.")
        if int(channel) in found:
            raise ValueError(f"Expected one code for channel {channel}, but got two. The second is '{text}'.")
        found[int(channel)] = Anatomy(*parts)
    return found


def write_nifti_sets(
    sets: Path, series: Series, calibration: Calibration, anatomy: Mapping[int, Anatomy], out: Path
) -> None:
    """Write the sets of a file, ``[x, y, z, C]`` of 0 and 1, as `monai-rwcp predict` and `SaveImage` leave them.

    Axes that run the other way round than the series' are turned; nothing is resampled.

    Args:
        sets: the NIfTI, NRRD or MHA file.
        series: the images that the sets were made of.
        calibration: what the sets were made with; its classes become segments.
        anatomy: a code for each of its classes, by channel.
        out: the DICOM file.

    Raises:
        ValueError: when the file has other channels or lies on another grid than the series, a class has no code, or a
            code is of none.
        OSError: when a file cannot be read or written.
    """
    lacking = [f"{c} ({calibration.class_name(c)})" for c in calibration.classes if c not in anatomy]
    if lacking:
        raise ValueError(
            f"Expected a code for every calibrated class, but none was given for {', '.join(lacking)}. Give one "
            "--anatomy for each."
        )
    unknown = [str(c) for c in anatomy if c not in calibration.classes]
    if unknown:
        known = ", ".join(f"{c} ({calibration.class_name(c)})" for c in calibration.classes)
        raise ValueError(
            f"A code was given for channel {', '.join(unknown)}, but only {known} are calibrated. Leave it out."
        )
    image = read_image_file(sets)
    shape_of_file = image.values.shape
    if len(shape_of_file) != 4 or shape_of_file[3] != calibration.n_channels:
        raise ValueError(
            f"Expected [x, y, z, {calibration.n_channels}] in '{sets}', a channel for each of the calibration's, but "
            f"its shape is {shape_of_file}. Name a file that predict wrote with this calibration."
        )
    wanted = series.volume.affine.numpy()
    # By the series' own axes: oblique ones may be as near to one direction of the body as to another.
    turn = nibabel.io_orientation(np.linalg.inv(wanted) @ image.affine)
    values = np.ascontiguousarray(nibabel.apply_orientation(image.values, turn))
    affine = image.affine @ nibabel.orientations.inv_ornt_aff(turn, shape_of_file[:3])
    shape = tuple(series.volume.shape[1:])
    mend = "Is it of this series? Sets lie on its grid when their maps were exported on that of the original images."
    if values.shape[:3] != shape:
        raise ValueError(
            f"'{sets}' does not lie on the grid of the series '{series.name}': its shape is {values.shape[:3]} instead "
            f"of {shape}. {mend}"
        )
    placed = MetaTensor(series.volume.as_tensor(), affine=torch.from_numpy(affine))
    check_same_grid({"file": (str(sets), placed), "series": (series.name, series.volume)}, set(), mend=mend)
    segments = [
        Segment(
            _label(calibration, c, anatomy[c]),
            anatomy[c],
            torch.from_numpy(values[..., c]),
            _own_promise(calibration, c),
        )
        for c in calibration.classes
    ]
    whole = calibration.promise
    if len(whole) > PARAGRAPHS and all(segment.description for segment in segments):
        whole = "The promise of each segment stands in its Segment Description (0062,0006)."
    write_sets(out, series, segments, promise=whole, record=calibration.provenance)


def _label(calibration: Calibration, c: int, anatomy: Anatomy) -> str:
    """The class's name, or, where the calibration has none, that of its code beside the name in the promise."""
    named = calibration.class_name(c)
    if calibration.class_names is not None:
        if len(named.strip()) > LINE:
            raise ValueError(
                f"DICOM names a segment in {LINE} characters, but '{named}' has {len(named)}. Calibrate with shorter "
                "names (--class-names)."
            )
        return named
    both = f"{anatomy.meaning} ({named})"
    return both if len(both) <= LINE else anatomy.meaning


def _own_promise(calibration: Calibration, c: int) -> str:
    """The promise of one class, or nothing where it does not fit."""
    made = calibration
    promise = promise_in_words(
        *(made.promised, made.counting, made.loss, made.unit_name, {c: made.class_name(c)}, made.classes),
        groups=made.groups,
        weighted=made.weighted,
        provenance=made.provenance,
    )
    return promise if len(promise) <= PARAGRAPH else ""
