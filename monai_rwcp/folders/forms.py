"""The forms in which other programs write maps, and what the files of each are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from monai_rwcp.utils.endings import IMAGES

if TYPE_CHECKING:
    from monai_rwcp.conformal.counting.labels import LabelMode

__all__ = ["MapForm", "label_mode_of", "map_endings"]

MapForm = Literal["channels-last", "channels-first", "one-class", "nnunet"]
"""How the files of a folder hold their maps, see :py:func:`read_map`."""


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
