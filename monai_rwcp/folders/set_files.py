"""The file of one prediction set: what it is made of, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from monai.data import MetaTensor

from monai_rwcp.folders.forms import map_endings
from monai_rwcp.folders.maps import UNIT_KEY
from monai_rwcp.folders.match import FolderCase
from monai_rwcp.folders.nnunet import segmentation_beside
from monai_rwcp.utils.endings import ending_of
from monai_rwcp.utils.files import file_hash, written_whole
from monai_rwcp.utils.lengths import MM_PER_UNIT
from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.processes import raised_by_first

with needed("NIfTI files need", "demo", "nibabel"):
    import nibabel

__all__ = ["made_of", "refuse_failed", "write_set"]

_SHOWN = 10


def made_of(case: FolderCase) -> dict[str, list[int]]:
    """Size and time stamp of the files of a case, by which changed ones are noticed.

    The segmentation that belongs to a map of nnU-Net is one of them: it tells where the map lies.
    """
    files = {"map": case.map, "image": case.image}
    if ending_of(case.map.name, map_endings("nnunet")):
        with suppress(FileNotFoundError):  # which is told when the map is read
            files["segmentation"] = segmentation_beside(case.map)
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
        nibabel.save(_image(np.moveaxis(values, 0, -1), found), temporary)
        announce(file_hash(temporary))


def _image(values: np.ndarray, found: MetaTensor) -> nibabel.Nifti1Image:
    """In the unit of length of the map's header, so that programs that overlook it find both at one place."""
    unit = found.meta.get(UNIT_KEY, "mm")
    affine = found.affine.numpy().copy()
    affine[:3] /= MM_PER_UNIT[int(str(nibabel.nifti1.unit_codes.code[unit]))]
    image = nibabel.Nifti1Image(values, affine)
    image.header.set_xyzt_units(unit)
    return image


def refuse_failed(failed: Mapping[str, str], n: int, out: Path) -> None:
    """Name the maps of which no set could be made, if there are any.

    Args:
        failed: what went wrong, by case.
        n: how many cases there were.
        out: the folder of the sets of the others.

    Raises:
        ValueError: when there are some.
    """
    if not failed:
        return
    lines = [why for _, why in sorted(failed.items())]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    others = f"; the sets of the others are in '{out}'" if len(failed) < n else ""
    message = (
        f"No set was made of {len(failed)} of {n} maps{others}. Mend these, and run it once more: it makes what is "
        "missing.\n"
    )
    raise raised_by_first(ValueError(message + "\n".join([*lines[:_SHOWN], *more])))
