"""The images that a metric has collected: the figures of each, and every named image once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from monai_rwcp.metrics.prediction_set import SetMetrics
from monai_rwcp.metrics.summary import ImageFigures

__all__ = ["CollectedImage", "counted_once", "image_figures"]


@dataclass(frozen=True)
class CollectedImage:
    """What must be known of an image beside its figures.

    Args:
        n_channels: number of channels of its set.
        in_mm: whether its distances are in mm, or else in voxels.
        image: a name that no other image has; None where it has none.
        unit: name of its exchangeable unit; None where the image is a unit of its own.
        stratum: name of its stratum; None for none.
    """

    n_channels: int
    in_mm: bool
    image: str | None
    unit: str | None
    stratum: str | None


def image_figures(
    collected: Sequence[CollectedImage], rows: Sequence[Sequence[Sequence[float]]]
) -> list[list[ImageFigures]]:
    """Give back the figures of each class in each image.

    Args:
        collected: the images.
        rows: of each image the figures of each class, in the order of
            :py:attr:`monai_rwcp.metrics.PredictionSetMetrics.columns`.
    """
    found = []
    for i, (image, row) in enumerate(zip(collected, rows, strict=True)):
        # A number is no name, so an image without any is a unit of its own.
        unit: Hashable = next((name for name in (image.unit, image.image) if name is not None), i)
        found.append([ImageFigures(_set_metrics(figures), unit, image.stratum, *figures[-2:]) for figures in row])
    return found


def counted_once(
    collected: Sequence[CollectedImage], images: Sequence[Sequence[ImageFigures]]
) -> list[list[ImageFigures]]:
    """Give the figures of each image in each class, every named image once.

    Args:
        collected: the images.
        images: the figures of each class in each of them.

    Raises:
        ValueError: when one name stands for two different images.
    """
    counted: dict[Hashable, int] = {}
    for i, image in enumerate(collected):
        first = counted.setdefault(i if image.image is None else image.image, i)
        # Sets may differ by a voxel between devices, truths may not.
        same_truth = [f.metrics.true for f in images[i]] == [f.metrics.true for f in images[first]]
        if image != collected[first] or not same_truth:
            raise ValueError(
                f"The name {image.image!r} stands for two different images. Every image needs a name of its own, "
                "each slice and not each patient: give `images` to the metric or `case_key` to the handler."
            )
    return [list(images_of_class) for images_of_class in zip(*(images[i] for i in counted.values()), strict=True)]


def _set_metrics(row: Sequence[float]) -> SetMetrics:
    missed, true, size, dice, components, average, hausdorff, *_ = row
    return SetMetrics(int(missed), int(true), int(size), dice, int(components), average, hausdorff)
