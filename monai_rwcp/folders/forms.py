"""The forms in which other programs write maps, and what the files of each are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from monai_rwcp.conformal.counting.labels import LabelMode

__all__ = ["IMAGES", "NIFTI", "MapForm", "ending_of", "label_mode_of", "map_endings"]

MapForm = Literal["channels-last", "channels-first", "one-class", "nnunet"]

NIFTI = (".nii.gz", ".nii")
"""Endings of NIfTI files."""

IMAGES = (*NIFTI, ".nrrd", ".mha")
"""Endings of the files of images and labels, and of maps in most forms."""


def ending_of(name: str, endings: Sequence[str]) -> str | None:
    """Which of some endings a file's name has, as it is written there; None for none of them.

    Example:
        >>> ending_of("anna.NII.GZ", NIFTI)
        '.NII.GZ'
    """
    found = next((ending for ending in endings if name.lower().endswith(ending)), None)
    return None if found is None else name[-len(found) :]


def map_endings(form: MapForm) -> tuple[str, ...]:
    """Endings of the files of a form.

    Example:
        >>> map_endings("nnunet")
        ('.npz',)
    """
    return (".npz",) if form == "nnunet" else IMAGES


def label_mode_of(form: MapForm) -> LabelMode:
    """What the label that belongs to a map of a form is: one region for one class, numbers of classes otherwise.

    Example:
        >>> label_mode_of("one-class")
        'regions'
    """
    return "regions" if form == "one-class" else "index"
