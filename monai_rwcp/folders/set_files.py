"""The file of one prediction set: what it is made of, and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from monai.data import MetaTensor

from monai_rwcp.folders.match import FolderCase
from monai_rwcp.utils.files import file_hash, written_whole

__all__ = ["made_of", "write_set"]


def made_of(case: FolderCase) -> dict[str, list[int]]:
    """Size and time stamp of the files of a case, by which changed ones are noticed."""
    files = {"map": case.map, "image": case.image}
    status = {kind: path.stat() for kind, path in files.items() if path is not None}
    return {kind: [of.st_size, of.st_mtime_ns] for kind, of in status.items()}


def write_set(found: MetaTensor, path: Path, announce: Callable[[str], None]) -> None:
    """Write a prediction set.

    Args:
        found: ``[C, *spatial]``.
        path: where it goes.
        announce: told the hash of the file before it appears, so that no set stands there that the log does not know.

    Raises:
        OSError: when it cannot be written.
    """
    values = found.as_tensor().numpy().astype(np.uint8)
    values = values[..., None] if values.ndim == 3 else values
    with written_whole(path) as temporary:
        nibabel.save(nibabel.Nifti1Image(np.moveaxis(values, 0, -1), found.affine.numpy()), temporary)
        announce(file_hash(temporary))
