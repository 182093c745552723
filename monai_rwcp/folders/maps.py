"""Reading what other programs write: probability maps in several forms, label maps, images and sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from monai_rwcp.conformal.counting.channel_sums import check_softmax
from monai_rwcp.folders.forms import MapForm
from monai_rwcp.folders.nnunet import nnunet_values, segmentation_beside
from monai_rwcp.provenance.record import WRITTEN_BY
from monai_rwcp.utils.image_files import StoredImage, read_image_file
from monai_rwcp.utils.same_grid import check_same_grid

__all__ = [
    "UNIT_KEY",
    "read_grid_file",
    "read_image",
    "read_map",
    "read_probabilities",
    "read_set_file",
    "read_set_like",
]

UNIT_KEY = "header_unit"
"""Where the meta data of a map tell the unit of length of its header. The affine is in mm."""


def read_map(path: Path, form: MapForm, warned: set[tuple[str, str]] | None = None) -> MetaTensor:
    """Read a probability map.

    Args:
        path: the file.
        form: how channels lie in it: ``"channels-last"`` (``[x, y, z, C]``, as MONAI's `SaveImage` writes, or a vector
            image, as ITK does; a 2D map has a z of 1), ``"channels-first"`` (``[C, x, y, z]``), ``"one-class"``
            (``[x, y, z]`` or ``[x, y, z, 1]``, the probability of one structure), all three in NIfTI, NRRD or MHA, or
            ``"nnunet"`` (the ``.npz`` of nnU-Net v2's ``--save_probabilities``, ``[C, z, y, x]`` under
            ``probabilities``, whose affine is that of the segmentation nnU-Net wrote beside it). The ``.pkl`` beside
            that is never opened: reading a pickle can run code.
        warned: what this run has warned of; None warns of each file.

    Returns:
        float32 ``[C, x, y(, z)]`` with the affine of the file in mm; one slice is an image, and its z of 1 is dropped.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: when it cannot be read, is of another form, or does not agree with nnU-Net's own segmentation.
    """
    if form == "nnunet":
        beside = segmentation_beside(path)
        of = read_image_file(beside)
        values = nnunet_values(path, beside, of.values, of.affine, set() if warned is None else warned)
        return _on_grid(values, of, path)
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
        if values.ndim == 4 and values.shape[-1] == 1:
            values = values[..., 0]
        if values.ndim not in (2, 3):
            raise ValueError(_other_form(path, values.shape, "[x, y, z]"))
        values = values[None]
    return _on_grid(values, read, path)


def read_probabilities(path: Path, form: MapForm, warned: set[tuple[str, str]]) -> MetaTensor:
    """Read a network's own map: as :py:func:`read_map`, and softmax where it has several channels.

    Args:
        path, form, warned: see :py:func:`read_map`.

    Raises:
        FileNotFoundError: when a file is missing.
        ValueError: as :py:func:`read_map`, and when it is not softmax; the message tells what its channels sum to.
    """
    found = read_map(path, form, warned)
    if form != "nnunet" and found.shape[0] > 1:  # which knows of regions, and has looked itself
        check_softmax(found.as_tensor(), f"'{path}'", _NO_SOFTMAX)
    return found


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
    return _on_grid(values[None], read, path)


def read_set_file(path: Path) -> MetaTensor:
    """Read a prediction set, wherever it lies.

    Args:
        path: a NIfTI file ``[x, y, z, C]``.

    Returns:
        float32 ``[C, *spatial]``.

    Raises:
        FileNotFoundError: when it is missing.
        ValueError: when it cannot be read, or has no channels.
    """
    read = read_image_file(path)
    if read.values.ndim != 4:
        raise ValueError(
            f"Expected a set [x, y, z, C] in '{path}', with a channel for each class as predict writes it, but its "
            f"shape is {read.values.shape}. Name the folder of the sets."
        )
    return _on_grid(np.moveaxis(read.values, -1, 0), read, path)


def read_set_like(path: Path, like: MetaTensor, warned: set[tuple[str, str]]) -> MetaTensor:
    """Read another set of the same case, as :py:func:`read_set_file` reads it.

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
    read = read_set_file(path)
    if read.shape[0] != like.shape[0]:
        raise ValueError(
            f"'{path}' has {read.shape[0]} channels, but '{like.meta['filename_or_obj']}' {like.shape[0]}. "
            "Take both from one network."
        )
    return _placed_like(read, like, path, "inner set", warned)


def _on_grid(values: np.ndarray, of: StoredImage, path: Path) -> MetaTensor:
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4):
        raise ValueError(f"Expected 2 or 3 spatial axes in '{path}', but its shape is {values.shape}.")
    meta = {
        "filename_or_obj": str(path),
        "original_affine": of.affine,
        "spatial_shape": np.array(array.shape[1:]),
        UNIT_KEY: of.unit,
        WRITTEN_BY: of.written_by,
    }
    return MetaTensor(torch.from_numpy(array), affine=torch.as_tensor(of.affine, dtype=torch.float64), meta=meta)


def _placed_like(read: MetaTensor, like: MetaTensor, path: Path, what: str, warned: set[tuple[str, str]]) -> MetaTensor:
    if read.shape[1:] != like.shape[1:]:
        raise ValueError(
            f"The {what} '{path}' has the shape {tuple(read.shape[1:])}, but the map "
            f"'{like.meta['filename_or_obj']}' has {tuple(like.shape[1:])}. They do not lie on one grid: export both "
            "on that of the original image."
        )
    check_same_grid({what: (str(path), read), "map": (like.meta["filename_or_obj"], like)}, warned, mend=_MEND)
    # What was found to lie there up to rounding lies there.
    read.affine = like.affine
    return read


_NO_SOFTMAX = (
    "Is `form` right? If it is, take the network's own softmax. Where channels are regions that overlap, calibrate "
    "each by itself: its maps in a folder of their own, as `form` one-class, with labels of 0 and 1."
)

_MEND = (
    "One of them was cropped or flipped, or its header was changed. Export both on the grid of the original image, or "
    "resample one to the other."
)


def _other_form(path: Path, shape: tuple[int, ...], expected: str) -> str:
    return (
        f"Expected {expected} in '{path}', but its shape is {shape}. Name the form of the maps by `form`: "
        "channels-last, channels-first, one-class or nnunet."
    )
