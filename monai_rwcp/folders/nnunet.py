"""Reading nnU-Net's probabilities: in which frame they lie, and whether they are what `dataset.json` tells."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from monai_rwcp.conformal.counting.channel_sums import check_softmax, sums_of_channels
from monai_rwcp.conformal.counting.labels import check_score
from monai_rwcp.folders.nnunet_agreement import Agreement, agreement
from monai_rwcp.folders.nnunet_documents import NnunetFolder, nnunet_folder
from monai_rwcp.utils.endings import IMAGES, ending_of
from monai_rwcp.utils.packages import needed
from monai_rwcp.utils.unpacking import unreadable

with needed("NIfTI files need", "demo", "nibabel"):
    from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

__all__ = ["nnunet_values", "segmentation_beside"]

_AS_FILE, _AS_RAS = "in the order of the file", "turned to RAS"
_FRAMES = {
    "SimpleITKIO": _AS_FILE,
    "NibabelIO": _AS_FILE,
    "NibabelIOWithReorient": _AS_RAS,
    "SimpleITKIOWithReorient": _AS_RAS,
}


def segmentation_beside(path: Path) -> Path:
    """The segmentation that nnU-Net wrote beside a map.

    Raises:
        FileNotFoundError: when there is none, or several.
    """
    name = path.name.removesuffix(".npz")
    others = path.parent.iterdir() if path.parent.is_dir() else ()
    beside = sorted(p for p in others if (ending := ending_of(p.name, IMAGES)) and p.name[: -len(ending)] == name)
    if len(beside) != 1:
        found = " and ".join(p.name for p in beside) or "none"
        raise FileNotFoundError(
            f"Expected one segmentation beside '{path}', the '{name}.nii.gz' that nnU-Net wrote with it, but found "
            f"{found}. It tells where the voxels lie, which the .npz does not; the .pkl is not opened, for reading a "
            "pickle can run code."
        )
    return beside[0]


def nnunet_values(
    path: Path, beside: Path, segmentation: np.ndarray, affine: np.ndarray, warned: set[tuple[str, str]]
) -> np.ndarray:
    """The probabilities of a ``.npz``, on the grid of the segmentation beside it.

    nnU-Net writes the array that its reader made of the image, ``[C, z, y, x]``, and some readers turn the image to
    RAS first; of the segmentation only, that is undone. `plans.json` or `dataset.json` tell the reader. Whatever they
    tell, the segmentation has to be, class by class, what nnU-Net makes of the map where it was put.

    Args:
        path: the ``.npz``.
        beside: the segmentation, for messages.
        segmentation: ``[x, y, z]`` or ``[x, y]``.
        affine: of the segmentation.
        warned: what this run has warned of.

    Returns:
        ``[C, *spatial]``.

    Raises:
        FileNotFoundError: when there is no map.
        ValueError: when it cannot be read, is not what the documents tell, fits nowhere, or in two ways.

    Source: nnU-Net 2.8.1, nnunetv2/inference/export_prediction.py, nnunetv2/imageio,
        nnunetv2/utilities/label_handling/label_handling.py.
    """
    folder, values = nnunet_folder(path.parent), _npz(path, "probabilities")
    if values.ndim != 4:
        raise ValueError(f"Expected probabilities [C, z, y, x] in '{path}', but it holds the shape {values.shape}.")
    check_score(torch.from_numpy(values), str(path))
    _check_channels(path, values, folder)
    shape = (*segmentation.shape, 1)[:3]
    frames = _frames(values, affine) if segmentation.ndim == 3 else {_AS_FILE: values.transpose(0, 3, 2, 1)}
    fitting = {frame: placed for frame, placed in frames.items() if placed.shape[1:] == shape}
    told = _FRAMES.get(folder.reader or "")
    if not fitting or segmentation.ndim not in (2, 3):
        raise ValueError(
            f"Expected probabilities [C, z, y, x] in '{path}' for the segmentation of shape {segmentation.shape} in "
            f"'{beside.name}', but got {values.shape}. They are of different runs, or the axes were changed."
        )
    # Where turning changes nothing, there is one frame by two names.
    told = told if told in frames or told is None else _AS_FILE
    if told is None and len(fitting) == 2 and np.array_equal(fitting[_AS_FILE], fitting[_AS_RAS]):
        told = _AS_FILE
    label = segmentation.reshape(shape)
    found = {frame: agreement(of, label, folder.regions) for frame, of in fitting.items() if told in (None, frame)}
    if told in found and not found[told].fits:  # does another one fit?
        found |= {frame: agreement(of, label, folder.regions) for frame, of in fitting.items() if frame != told}
    frame = _chosen(path, beside, found, folder, told)
    removed = ("post-processed", "segmentation")
    if found[frame].removed and removed not in warned:
        warned.add(removed)
        warnings.warn(
            f"'{beside}' was post-processed: it lacks pieces that '{path}' has ({found[frame]}). What remains agrees, "
            "and scores are made of the map alone. Further cases of this run are not named.",
            stacklevel=2,
        )
    return frames[frame] if segmentation.ndim == 3 else frames[frame][..., 0]


def _check_channels(path: Path, values: np.ndarray, folder: NnunetFolder) -> None:
    """Refuse maps that are not of the classes or regions of the `dataset.json` that belongs to them."""
    regions, maps = folder.regions, torch.from_numpy(values)
    expected = folder.n_classes if regions is None else len(regions.labels)
    if expected is not None and len(values) != expected:
        what = "classes" if regions is None else f"regions ({', '.join(regions.labels)})"
        raise ValueError(
            f"'{path}' has {len(values)} channels, but '{folder.dataset}' tells of {expected} {what}. {_OF_ANOTHER}"
        )
    if regions is None:
        check_softmax(maps, f"'{path}'", _NO_DATASET if folder.dataset is None else _tells("classes", folder))
        return
    sums = sums_of_channels(maps)
    if sums is not None and sums.are_one:
        raise ValueError(
            f"Expected the sigmoid of regions in '{path}', but its channels sum to 1 in every voxel ({sums}), which "
            f"is softmax. {_tells('regions', folder)}"
        )


def _tells(what: str, folder: NnunetFolder) -> str:
    return f"'{folder.dataset}' tells of {what}: {_OF_ANOTHER[0].lower()}{_OF_ANOTHER[1:]}"


_OF_ANOTHER = "They are of different networks, or one was changed. Put the dataset.json beside the maps that is theirs."
_NO_DATASET = (
    "Regions, whose channels are sigmoid, overlap and may be in any order, need nnU-Net's dataset.json beside the "
    "maps: it tells what they are made of."
)


def _frames(values: np.ndarray, affine: np.ndarray) -> dict[str, np.ndarray]:
    """The map on the grid of a segmentation, by the frame in which it would have been written; none twice."""
    placed = values.transpose(0, 3, 2, 1)
    if not np.isfinite(affine).all():
        return {_AS_FILE: placed}
    axes = io_orientation(affine)
    if np.array_equal(axes, axcodes2ornt("RAS")):
        return {_AS_FILE: placed}
    turned = apply_orientation(np.moveaxis(placed, 0, -1), ornt_transform(axcodes2ornt("RAS"), axes))
    return {_AS_FILE: placed, _AS_RAS: np.moveaxis(turned, -1, 0)}


def _chosen(path: Path, beside: Path, found: Mapping[str, Agreement], folder: NnunetFolder, told: str | None) -> str:
    """The one frame that is told, or else the one that fits.

    Raises:
        ValueError: when the segmentation does not fit there, fits nowhere, or in both.
    """
    fitting = [frame for frame in found if found[frame].fits]
    asked = [frame for frame in fitting if told in (None, frame)]
    if len(asked) == 1:
        return asked[0]
    if asked:
        raise ValueError(
            f"'{path}' agrees with nnU-Net's segmentation '{beside.name}' in two ways: {_by_name(_AS_FILE)}, and "
            f"{_by_name(_AS_RAS)}. Which is right would be a guess: put the plans.json or dataset.json that nnU-Net "
            "wrote beside the maps, which names the reader."
        )
    reader = "" if folder.reader is None else f", read by {folder.reader} (by '{folder.reader_from}')"
    nearest = max(
        (found[frame] for frame in found if told in (None, frame)), key=lambda of: of.worst_dice, default=None
    )
    if nearest is None:
        differ = "its axes have other lengths"
    else:
        differ = f"the latter lacks {nearest}, which are all" if nearest.removed else f"{nearest}"
    raise ValueError(
        f"The segmentation that nnU-Net makes of '{path}'{reader} is not '{beside.name}': {differ}. "
        + (f"It would fit {_by_name(fitting[0])}: the documents are of another network." if fitting else _WHY_NOT)
    )


def _by_name(frame: str) -> str:
    return f"{frame} ({' or '.join(reader for reader, of in _FRAMES.items() if of == frame)})"


_WHY_NOT = (
    "They are of different runs, an axis was flipped or exchanged since, or the segmentation was post-processed so "
    "that a class is gone. Put the segmentation beside the map that nnU-Net wrote with it."
)


def _npz(path: Path, name: str) -> np.ndarray:
    """The array of a .npz that holds one. The whole member is read, so that its check sum is compared."""
    if not path.exists():
        raise FileNotFoundError(f"There is no '{path}'.")
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            names = [member.removesuffix(".npy") for member in file.namelist()]
            array = io.BytesIO(file.read(f"{name}.npy")) if names == [name] else None
        values = None if array is None else np.lib.format.read_array(array, allow_pickle=False)
    except Exception as error:  # whatever a damaged file can cause
        raise unreadable(path, error) from error
    if values is None:
        raise ValueError(
            f"Expected '{name}' alone in '{path}', as nnU-Net v2 writes it with --save_probabilities, but it holds "
            f"{', '.join(names) or 'nothing'}. Files of v1 are not read: predict once more with v2, or save the maps "
            "as NIfTI, with another --form."
        )
    if values.dtype.kind not in "fiub":
        raise ValueError(f"Expected probabilities in '{path}', but it holds {values.dtype}, which are no real numbers.")
    return np.asarray(values, dtype=np.float32)
