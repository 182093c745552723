"""Reading what other programs write: probability maps in several forms, label maps, images and sets."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from monai_rwcp.folders.forms import NIFTI, MapForm
from monai_rwcp.utils.image_files import read_image_file
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.unpacking import unreadable

__all__ = ["UNIT_KEY", "read_grid_file", "read_image", "read_map", "read_set_like"]

UNIT_KEY = "header_unit"
"""Where the meta data of a map tell the unit of length of its header. The affine is in mm."""


def read_map(path: Path, form: MapForm) -> MetaTensor:
    """Read a probability map.

    Args:
        path: the file.
        form: how channels lie in it: ``"channels-last"`` (``[x, y, z, C]``, as MONAI's `SaveImage` writes, or a vector
            image, as ITK does; a 2D map has a z of 1), ``"channels-first"`` (``[C, x, y, z]``), ``"one-class"``
            (``[x, y, z]``, the probability of one structure), all three in NIfTI, NRRD or MHA, or ``"nnunet"`` (the
            ``.npz`` of nnU-Net v2's ``--save_probabilities``, ``[C, z, y, x]`` under ``probabilities``, whose affine is
            that of the segmentation nnU-Net wrote beside it).
            The ``.pkl`` beside that is never opened: reading a pickle can run code.

    Returns:
        float32 ``[C, x, y(, z)]`` with the affine of the file in mm; one slice is an image, and its z of 1 is dropped.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: when it cannot be read, is of another form, or does not agree with nnU-Net's own segmentation.

    Source: nnU-Net 2.8.1, nnunetv2/inference/export_prediction.py.
    """
    if form == "nnunet":
        return _nnunet_map(path)
    read = read_image_file(path)
    values = read.values
    if form == "channels-last":
        if values.ndim != 4:
            raise ValueError(_other_form(path, values.shape, "[x, y, z, C]"))
        values = np.moveaxis(values, -1, 0)
    elif form == "channels-first":
        if values.ndim not in (3, 4) or read.is_vector:
            raise ValueError(_other_form(path, values.shape, "[C, x, y, z]"))
    else:
        if values.ndim not in (2, 3):
            raise ValueError(_other_form(path, values.shape, "[x, y, z]"))
        values = values[None]
    return _on_grid(values, read.affine, path, read.unit)


def read_grid_file(
    path: Path, like: MetaTensor, *, what: str = "file", warned: set[tuple[str, str]] | None = None
) -> MetaTensor:
    """Read a label map or an image of one channel that lies on the grid of a map.

    Args:
        path: a NIfTI, NRRD or MHA file.
        like: the map.
        what: the file is, for messages.
        warned: kinds of files of which this run has warned that their headers were rounded; None warns of each file.

    Returns:
        float32 ``[1, *spatial]``, with the affine of the map.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when it cannot be read or lies on another grid.
    """
    return _placed_like(read_image(path), like, path, what, set() if warned is None else warned)


def read_image(path: Path) -> MetaTensor:
    """Read an image of one channel, wherever it lies.

    Args:
        path: a NIfTI, NRRD or MHA file.

    Returns:
        float32 ``[1, *spatial]``.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when it cannot be read.
    """
    read = read_image_file(path)
    values = read.values
    if values.ndim == 4 and values.shape[-1] == 1:
        values = values[..., 0]
    return _on_grid(values[None], read.affine, path, read.unit)


def read_set_like(path: Path, like: MetaTensor, warned: set[tuple[str, str]]) -> MetaTensor:
    """Read another set of the same case, as :py:func:`read_map` reads it with ``"channels-last"``.

    Args:
        path: a NIfTI file ``[x, y, z, C]``.
        like: the set.
        warned: see :py:func:`read_grid_file`.

    Returns:
        float32 of the shape of ``like``.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when it cannot be read, has other channels, or lies on another grid.
    """
    read = read_map(path, "channels-last")
    if read.shape[0] != like.shape[0]:
        raise ValueError(
            f"'{path}' has {read.shape[0]} channels, but '{like.meta['filename_or_obj']}' {like.shape[0]}. "
            "Take both from one ConformalSandwich."
        )
    return _placed_like(read, like, path, "inner set", warned)


def _nnunet_map(path: Path) -> MetaTensor:
    values = _npz(path, "probabilities")
    name = path.name.removesuffix(".npz")
    beside = [path.with_name(name + ending) for ending in NIFTI if path.with_name(name + ending).exists()]
    if len(beside) != 1:
        raise FileNotFoundError(
            f"Expected the segmentation that nnU-Net wrote beside '{path}', '{name}.nii.gz', but found "
            f"{[p.name for p in beside]}. It has the affine, which the .npz has not; the .pkl is not opened, for "
            "reading a pickle can run code. Data sets in other formats than NIfTI have to be converted."
        )
    segmentation, affine = _nifti(beside[0])
    if values.ndim != 4 or values.shape[:0:-1] != (*segmentation.shape, 1)[:3]:
        raise ValueError(
            f"Expected probabilities [C, z, y, x] in '{path}' for the segmentation of shape {segmentation.shape} in "
            f"'{beside[0].name}', but got {values.shape}. They are of different runs, or the axes were changed."
        )
    values = values.transpose(0, 3, 2, 1)
    # Shapes cannot tell exchanged axes of the same length; where the classes lie can.
    predicted = values.argmax(axis=0)
    agree = float((predicted == segmentation.reshape(predicted.shape)).mean())
    if agree < _AGREE:
        raise ValueError(
            f"The most probable classes in '{path}' agree with nnU-Net's segmentation '{beside[0].name}' in only "
            f"{agree:.1%} of the voxels. They are of different runs, the segmentation was post-processed much, "
            "nnU-Net's reader reorients images (which it undoes for the segmentation only), or the data set has "
            "overlapping regions; the last two are not covered by this form."
        )
    return _on_grid(values if segmentation.ndim == 3 else values[..., 0], affine, path)


# Half-precision ties and nnU-Net's post-processing change a few voxels.
_AGREE = 0.98


def _nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    read = read_image_file(path)
    return read.values, read.affine


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
        raise ValueError(f"Expected '{name}' alone in '{path}', but it holds {names}.")
    return np.asarray(values)


def _on_grid(values: np.ndarray, affine: np.ndarray, path: Path, unit: str = "mm") -> MetaTensor:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4):
        raise ValueError(f"Expected 2 or 3 spatial axes in '{path}', but its shape is {values.shape}.")
    meta = {
        "filename_or_obj": str(path),
        "original_affine": affine,
        "spatial_shape": np.array(array.shape[1:]),
        UNIT_KEY: unit,
    }
    return MetaTensor(torch.from_numpy(array), affine=torch.as_tensor(affine, dtype=torch.float64), meta=meta)


def _placed_like(read: MetaTensor, like: MetaTensor, path: Path, what: str, warned: set[tuple[str, str]]) -> MetaTensor:
    if read.shape[1:] != like.shape[1:]:
        raise ValueError(
            f"'{path}' has the shape {tuple(read.shape[1:])}, but its map '{like.meta['filename_or_obj']}' has "
            f"{tuple(like.shape[1:])}. Both must lie on one grid: export the map on the grid of the original image."
        )
    check_same_grid({what: (str(path), read), "map": (like.meta["filename_or_obj"], like)}, warned, mend=_MEND)
    # What was found to lie there up to rounding lies there.
    read.affine = like.affine
    return read


_MEND = (
    "They do not show the same place: one of them was cropped or flipped, or has lost or changed its header. Export "
    "both on the grid of the original image, or resample one to the other."
)


def _other_form(path: Path, shape: tuple[int, ...], expected: str) -> str:
    return (
        f"Expected {expected} in '{path}', but its shape is {shape}. Name the form of the maps: channels-last, "
        "channels-first, one-class or nnunet."
    )
