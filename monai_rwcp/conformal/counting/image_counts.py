"""The counts of single images, and what several of them say of their unit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from monai_rwcp.conformal.counting.levels import threshold_levels

__all__ = [
    "Histogram",
    "ImageCounts",
    "TrueVoxels",
    "check_counted_once",
    "group_of_each_unit",
    "joined_images",
    "shift_weight_of_each_unit",
]

# A network scores an image a little differently in batches of another size, most of all in half precision.
_ROUNDING = 1e-3


class Histogram(NamedTuple):
    """Numbers by threshold level, without the levels that have none.

    Args:
        levels: levels that occur, int64 ``[m]``, ascending.
        counts: number at each of them, int64 ``[m]``, above 0.
    """

    levels: np.ndarray
    counts: np.ndarray

    @staticmethod
    def of(by_level: np.ndarray) -> Histogram:
        """Pack whole numbers by level ``[L]``.

        Example:
            >>> Histogram.of(np.array([0, 3, 0, 1])).levels.tolist()
            [1, 3]
        """
        levels = np.flatnonzero(by_level)
        return Histogram(levels, by_level[levels])

    def close_to(self, other: Histogram) -> bool:
        """Whether both hold the same number of parts, at levels no further apart than rounding moves them."""
        ends, other_ends = np.cumsum(self.counts), np.cumsum(other.counts)
        if self.counts.sum() != other.counts.sum():
            return False
        # Part by part in the order of levels; between two of these ends nothing changes.
        both = np.union1d(ends, other_ends)
        levels, other_levels = self.levels[np.searchsorted(ends, both)], other.levels[np.searchsorted(other_ends, both)]
        scores = threshold_levels()
        near = (np.abs(levels - other_levels) <= 1) | (np.abs(scores[levels] - scores[other_levels]) <= _ROUNDING)
        return bool(near.all())


class TrueVoxels(NamedTuple):
    """How many voxels of an image show a class, and how many of them no threshold above 0 reaches.

    Args:
        all: number of counted true voxels.
        at_zero: number of these whose score is exactly 0, or below it by rounding. Level 0 of a histogram would not
            tell: it also holds scores below the first threshold, and for many losses other parts than voxels.
    """

    all: int
    at_zero: int


@dataclass(frozen=True)
class ImageCounts:
    """How the parts of the truth of one image are spread over the threshold levels.

    Args:
        unit: name of the exchangeable unit (the patient) the image belongs to.
        true: for each class how many parts of the truth (voxels, for most losses) the set misses above each level.
        false: for losses of excess, for each class how many voxels the set claims wrongly up to each level.
        group: group of the unit, or None.
        shift_weight: how much more often a unit like its own is met in the population that is calibrated for, or None.
        true_voxels: for each class how many voxels of it there are, and at exact zeros; empty where only the parts are
            known.
    """

    unit: str
    true: Mapping[int, Histogram]
    false: Mapping[int, Histogram] = field(default_factory=dict)
    group: str | None = None
    shift_weight: float | None = None
    true_voxels: Mapping[int, TrueVoxels] = field(default_factory=dict)

    def same_image(self, other: ImageCounts) -> bool:
        """Whether both count one image: the same unit and group, and the same counts up to the rounding of scores."""
        return (
            (self.unit, self.group) == (other.unit, other.group)
            and all(own.close_to(other.true[c]) for c, own in self.true.items())
            and all(own.close_to(other.false[c]) for c, own in self.false.items())
            and math.isclose(self.shift_weight or 0, other.shift_weight or 0, rel_tol=_ROUNDING)
            # Rounding makes a zero of a small score, but no true voxel of another.
            and all(own.all == other.true_voxels[c].all for c, own in self.true_voxels.items())
        )

    def sort_key(self) -> tuple[Any, ...]:
        """Orders counts of one image, so that the choice between them does not depend on who counted first."""
        by_class = [*sorted(self.true.items()), *sorted(self.false.items())]
        counts = [(c, histogram.levels.tolist(), histogram.counts.tolist()) for c, histogram in by_class]
        return counts, self.shift_weight or 0, sorted(self.true_voxels.items())


def joined_images(parts: Iterable[Mapping[str, ImageCounts]]) -> dict[str, ImageCounts]:
    """Join counts of images by their ids; an image that occurs in several parts counts once.

    Raises:
        ValueError: when one id stands for different counts.
    """
    images: dict[str, ImageCounts] = {}
    for part in parts:
        for image, counts in part.items():
            other = images.get(image)
            if other is not None and not other.same_image(counts):
                raise ValueError(
                    f"The image id {image!r} stands for two different images (units {other.unit!r} and "
                    f"{counts.unit!r}). Every image needs an id of its own: give `case_key`. If it is one "
                    "image, its score was not made the same way twice."
                )
            images[image] = counts if other is None else min(other, counts, key=ImageCounts.sort_key)
    return images


def check_counted_once(images: Sequence[Collection[str]], units: Sequence[Collection[str]], shared_units: bool) -> None:
    """Refuse tables that have an image in common, or a unit that is not shared.

    Args:
        images: ids of each table's images.
        units: names of each table's units.
        shared_units: whether a unit may have images in several tables.

    Raises:
        ValueError: when they have.
    """
    for kind, names in (("image", images), ("unit", units)):
        counted = Counter(name for table in names for name in set(table))
        twice = sorted(name for name, number in counted.items() if number > 1)
        if twice and kind == "image":
            raise ValueError(
                f"Expected tables without a common image, but {twice[:5]} ({len(twice)} in all) are in several. "
                "Was a table given twice? Images of separate sites need ids of their own (`case_key`)."
            )
        if twice and not shared_units:
            raise ValueError(
                f"Expected tables without a common unit, but {twice[:5]} ({len(twice)} in all) are in several. "
                "Where they are the same, say so (shared_units=True); if not, give them names of their own."
            )


def group_of_each_unit(images: Mapping[str, ImageCounts], unit_name: str) -> dict[str, str | None]:
    """Group of each unit.

    Raises:
        ValueError: when images of one unit are in different groups.
    """
    groups: dict[str, str | None] = {}
    for image in images.values():
        other = groups.setdefault(image.unit, image.group)
        if other != image.group:
            raise ValueError(
                f"Expected one group a unit, but {unit_name} {image.unit!r} is in {other!r} and {image.group!r}. Take "
                f"a group that belongs to the {unit_name}, or a finer unit."
            )
    return groups


def shift_weight_of_each_unit(images: Mapping[str, ImageCounts], unit_name: str) -> dict[str, float]:
    """Weight of each unit, which all of its images carry.

    Raises:
        ValueError: when an image has no weight, or images of a unit have different ones.
    """
    weights: dict[str, float] = {}
    for name, image in sorted(images.items()):
        if image.shift_weight is None:
            raise ValueError(
                f"Expected a weight for every image, but {name!r} has none. Count with `shift_weight` "
                "(`shift_weight_key` of the handler)."
            )
        other = weights.setdefault(image.unit, image.shift_weight)
        if not math.isclose(other, image.shift_weight, rel_tol=_ROUNDING):
            raise ValueError(
                f"Expected one weight a unit, but images of {unit_name} {image.unit!r} have {other:.6g} and "
                f"{image.shift_weight:.6g}. How often an image is met says little of how often its {unit_name} is: fit "
                f"the density ratio on the mean features of each {unit_name}, and give all its images the weight of "
                f"the {unit_name}."
            )
    return weights
