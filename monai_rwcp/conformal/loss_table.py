"""The loss table: how many true voxels each threshold misses, image by image, joinable in any order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from monai_rwcp.conformal.levels import LEVEL_GRID, threshold_levels
from monai_rwcp.conformal.provenance import UNRECORDED, join_provenance

__all__ = ["ImageCounts", "LabelMode", "LossTable", "Outside"]

LabelMode = Literal["index", "one_hot", "regions"]
Outside = Literal["include", "exclude"]


@dataclass(frozen=True)
class ImageCounts:
    """How the true voxels of one image are spread over the threshold levels.

    Args:
        unit: name of the exchangeable unit (the patient) the image belongs to.
        levels: for each class the levels that occur, int64 ``[m]``, ascending.
        counts: for each class the number of true voxels at each of these levels, int64 ``[m]``.
    """

    unit: str
    levels: Mapping[int, np.ndarray]
    counts: Mapping[int, np.ndarray]

    def same_as(self, other: ImageCounts) -> bool:
        """Whether both hold the same unit and the same counts."""
        return self.unit == other.unit and all(
            np.array_equal(self.levels[c], other.levels[c]) and np.array_equal(self.counts[c], other.counts[c])
            for c in self.levels
        )


@dataclass(frozen=True)
class LossTable:
    """Counts of missed and true voxels per unit, class and threshold level.

    Counts are kept by image and only added up by unit when they are read: an image that two processes saw counts
    once, and tables join exactly, in any order.

    Args:
        n_channels: number of channels of the score.
        classes: channel numbers that are calibrated.
        images: counts of each image by its id.
        label_mode: how the truth was given.
        outside: whether voxels outside the processed field count as covered (``"include"``) or as missed.
        unit_name: what a unit is, for people: "patient", "image".
        provenance: how the scores were made, see :py:mod:`monai_rwcp.conformal.provenance`.
        level_grid: name of the threshold grid.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import false_negative_rate_table
        >>> score, label = torch.rand(2, 4, 4), torch.ones(1, 4, 4)
        >>> table = LossTable.join([
        ...     false_negative_rate_table(score, label, unit="anna", image="anna slice 1"),
        ...     false_negative_rate_table(score, label, unit="anna", image="anna slice 2"),
        ... ])
        >>> table.units, table.true(1).tolist()
        (('anna',), [32])
    """

    n_channels: int
    classes: tuple[int, ...]
    images: Mapping[str, ImageCounts]
    label_mode: LabelMode = "index"
    outside: Outside = "include"
    unit_name: str = "image"
    provenance: Mapping[str, Any] = field(default_factory=lambda: dict(UNRECORDED))
    level_grid: str = LEVEL_GRID

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, sorted: the rows of :py:meth:`missed` and :py:meth:`true`."""
        return tuple(sorted({image.unit for image in self.images.values()}))

    def missed(self, class_index: int, *, by_image: bool = False) -> np.ndarray:
        """Number of true voxels with a score below each threshold.

        Args:
            class_index: one of :py:attr:`classes`.
            by_image: whether a row is an image (in the sorted order of ids) instead of a unit.

        Returns:
            int64 array of shape ``[rows, L]``, not decreasing along a row; column ``j`` belongs to threshold ``t_j``.
        """
        at_level = self._by_level(class_index, by_image)
        missed = np.zeros_like(at_level)
        np.cumsum(at_level[:, :-1], axis=1, out=missed[:, 1:])
        return missed

    def true(self, class_index: int, *, by_image: bool = False) -> np.ndarray:
        """Number of true voxels, int64 ``[rows]``; arguments as in :py:meth:`missed`."""
        return self._by_level(class_index, by_image).sum(axis=1)

    def image_units(self) -> tuple[str, ...]:
        """Unit of each image, in the sorted order of ids."""
        return tuple(self.images[name].unit for name in sorted(self.images))

    @staticmethod
    def join(tables: Iterable[LossTable]) -> LossTable:
        """Join tables of the same kind; an image that occurs in several of them counts once.

        Raises:
            ValueError: when there is no table, when tables differ in classes, grid or the way their scores were
                made, or when the same image id stands for different counts.
        """
        tables = list(tables)
        if not tables:
            raise ValueError("Expected at least one loss table to join, but got none.")
        first = tables[0]
        images: dict[str, ImageCounts] = {}
        for table in tables:
            for name in ("n_channels", "classes", "label_mode", "outside", "unit_name", "level_grid"):
                if getattr(table, name) != getattr(first, name):
                    raise ValueError(
                        f"Expected tables of one kind, but `{name}` is {getattr(first, name)!r} in one and "
                        f"{getattr(table, name)!r} in another."
                    )
            for image, counts in table.images.items():
                if image in images and not images[image].same_as(counts):
                    raise ValueError(
                        f"The image id {image!r} stands for two different images (units {images[image].unit!r} and "
                        f"{counts.unit!r}). Every image needs an id of its own: give `case_key`."
                    )
                images.setdefault(image, counts)
        return replace(first, images=images, provenance=join_provenance(table.provenance for table in tables))

    def _by_level(self, class_index: int, by_image: bool) -> np.ndarray:
        if class_index not in self.classes:
            raise KeyError(f"Class {class_index} is not in this table; its classes are {list(self.classes)}.")
        rows = sorted(self.images) if by_image else self.units
        row_of = {name: i for i, name in enumerate(rows)}
        total = np.zeros((len(rows), len(threshold_levels())), dtype=np.int64)
        for name, image in self.images.items():
            row = total[row_of[name if by_image else image.unit]]
            row[image.levels[class_index]] += image.counts[class_index]
        return total
