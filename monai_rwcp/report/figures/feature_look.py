"""From an image file and a source of features to a picture of what the source sees."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import LoadImage

from monai_rwcp.features.protocol import FeatureExtractor
from monai_rwcp.report.figures.feature_picture import draw_features
from monai_rwcp.utils.endings import IMAGES, ending_of
from monai_rwcp.utils.image_files import read_image_file
from monai_rwcp.utils.unpacking import read_unpacked, unreadable

__all__ = ["look_at_features"]


def look_at_features(
    path: str | Path,
    extractor: FeatureExtractor,
    out: str | Path,
    *,
    channel: int | None = None,
    slice_index: int | None = None,
    axis: int = 2,
    volume: bool = False,
    point: Sequence[int] | None = None,
    k: int = 20,
    center: bool = False,
    read: Callable[[str | Path], MetaTensor] | None = None,
) -> None:
    """Draw an image or one slice of a volume, its features as colour, and what is alike to one point.

    Args:
        path: a NIfTI, NRRD or MHA file, or another that MONAI reads, such as PNG or a NumPy array.
        extractor: where features come from.
        out: where the PNG goes.
        channel: which channel of an image that has several.
        slice_index: which slice of a volume; None takes the middle one.
        axis: spatial axis that the slices are stacked along.
        volume: whether the features are computed of the whole volume (3D networks) instead of the slice.
        point: a pixel along the two axes shown; None takes the middle.
        k: how many nearest neighbours are marked.
        center: whether the image's mean feature is subtracted before the similarity.
        read: gives the file's image ``[C, *spatial]``; None takes MONAI's readers.

    Raises:
        OSError: when the file cannot be opened.
        ValueError: when it cannot be read, or the image has other axes than these options expect.
    """
    image = (_image if read is None else read)(path)
    spacing = [float(s) for s in image.pixdim[: image.ndim - 1]]
    pixels = _one_channel(image.as_tensor().float(), channel)
    title = Path(path).name
    shown_slice = None
    if pixels.ndim == 4:
        n = pixels.shape[axis + 1]
        number = n // 2 if slice_index is None else slice_index
        if not 0 <= number < n:
            raise ValueError(f"Expected --slice from 0 to {n - 1} along axis {axis}, but got {number}.")
        title += f", slice {number} of axis {axis}"
        grey = pixels.select(axis + 1, number)
        spacing.pop(axis)
        features = extractor(pixels if volume else grey)
        if volume:
            features = features.movedim(axis + 1, -1)
            shown_slice = int((number + 0.5) * features.shape[-1] / n)
    elif slice_index is not None or volume:
        raise ValueError(f"Expected a volume for --slice and --volume, but '{path}' has shape {tuple(pixels.shape)}.")
    else:
        grey = pixels
        features = extractor(pixels)
    middle = [n // 2 for n in grey.shape[1:]]
    draw_features(
        out,
        image=np.asarray(grey[0]),
        features=features,
        point=middle if point is None else point,
        title=f"{title}\n{textwrap.fill(extractor.name, 120)}",
        k=k,
        center=center,
        spacing=spacing,
        slice_index=shown_slice,
    )


def _image(path: str | Path) -> MetaTensor:
    if ending_of(Path(path).name, IMAGES):
        return _stored(Path(path))
    if Path(path).is_file():
        read_unpacked(path)  # MONAI's readers stop before the check sum.
    try:
        image: MetaTensor = LoadImage(image_only=True, ensure_channel_first=True)(path)
    except Exception as error:  # whatever a damaged file can cause in any of the readers
        if type(error).__name__ == "InvalidDicomError":  # of the reader that comes last
            raise ValueError(
                f"'{path}' is no image that can be read; expected NIfTI, DICOM, PNG or a NumPy array."
            ) from error
        raise unreadable(path, error) from error
    return image


def _stored(path: Path) -> MetaTensor:
    read = read_image_file(path)
    values = read.values[None] if read.values.ndim < 4 else np.moveaxis(read.values, -1, 0)
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(values)), affine=torch.from_numpy(read.affine))


def _one_channel(pixels: torch.Tensor, channel: int | None) -> torch.Tensor:
    n = pixels.shape[0]
    if pixels.ndim not in (3, 4) or (n > 1 and channel is None):
        raise ValueError(
            f"Expected an image or a volume of one channel, but got shape {tuple(pixels.shape)}. Choose one of "
            f"{n} channels with --channel."
        )
    if channel is not None and not 0 <= channel < n:
        raise ValueError(f"Expected --channel from 0 to {n - 1}, but got {channel}.")
    return pixels[:1] if channel is None else pixels[channel : channel + 1]
