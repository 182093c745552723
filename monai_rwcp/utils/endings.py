"""What the names of image files end in."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["IMAGES", "ending_of"]

IMAGES = (".nii.gz", ".nii", ".nrrd", ".mha")
"""Endings of the files that :py:func:`monai_rwcp.utils.image_files.read_image_file` reads."""


def ending_of(name: str, endings: Sequence[str]) -> str | None:
    """Which of some endings a file's name has, as it is written there; None for none of them.

    Args:
        name: of the file.
        endings: in small letters; capitals are alike.

    Example:
        >>> ending_of("anna.NII.GZ", IMAGES)
        '.NII.GZ'
    """
    found = next((ending for ending in endings if name.lower().endswith(ending)), None)
    return None if found is None else name[-len(found) :]
