"""The loss table: how many true voxels each threshold misses, image by image, joinable in any order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.conformal.counting.levels import LEVEL_GRID, threshold_levels
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.voxels import FalseNegativeRate
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.utils.json_documents import read_json, write_json

__all__ = ["Histogram", "ImageCounts", "LossTable", "Outside"]

Outside = Literal["include", "exclude"]

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


@dataclass(frozen=True)
class ImageCounts:
    """How the parts of the truth of one image are spread over the threshold levels.

    Args:
        unit: name of the exchangeable unit (the patient) the image belongs to.
        true: for each class how many parts of the truth (voxels, for most losses) the set misses above each level.
        false: for losses of excess, for each class how many voxels the set claims wrongly up to each level.
        group: group of the unit, or None.
        shift_weight: how much more often a unit like its own is met in the population that is calibrated for, or None.
    """

    unit: str
    true: Mapping[int, Histogram]
    false: Mapping[int, Histogram] = field(default_factory=dict)
    group: str | None = None
    shift_weight: float | None = None

    def same_image(self, other: ImageCounts) -> bool:
        """Whether both count one image: the same unit and group, and the same counts up to the rounding of scores."""
        return (
            (self.unit, self.group) == (other.unit, other.group)
            and all(own.close_to(other.true[c]) for c, own in self.true.items())
            and all(own.close_to(other.false[c]) for c, own in self.false.items())
            and math.isclose(self.shift_weight or 0, other.shift_weight or 0, rel_tol=_ROUNDING)
        )

    def sort_key(self) -> tuple[Any, ...]:
        """Orders counts of one image, so that the choice between them does not depend on who counted first."""
        by_class = [*sorted(self.true.items()), *sorted(self.false.items())]
        counts = [(c, histogram.levels.tolist(), histogram.counts.tolist()) for c, histogram in by_class]
        return counts, self.shift_weight or 0


@dataclass(frozen=True)
class LossTable:
    """Counts of missed and true voxels, or of other parts of the truth, per unit, class and threshold level.

    Counts are kept by image and only added up by unit when they are read: an image that two processes saw counts
    once, also where rounding moved its scores a little, and tables join exactly, in any order.

    Args:
        n_channels: number of channels of the score.
        classes: channel numbers that are calibrated.
        images: counts of each image by its id.
        label_mode: how the truth was given.
        outside: whether voxels outside the processed field count as covered (``"include"``) or as missed.
        unit_name: what a unit is, for people: "patient", "image".
        provenance: how the scores were made, see :py:class:`monai_rwcp.provenance.ScoreRecord`.
        loss: what was counted.
        level_grid: name of the threshold grid.
        masked: whether voxels outside a mask were left out, so that nothing is known of them.

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
    provenance: ScoreRecord = field(default_factory=ScoreRecord)
    loss: SetLoss = field(default_factory=FalseNegativeRate)
    level_grid: str = LEVEL_GRID
    masked: bool = False

    def __repr__(self) -> str:
        counted = f"{len(self.units)} {self.unit_name}s, {len(self.images)} images"
        return f"LossTable({self.loss.name} of classes {list(self.classes)}: {counted})"

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, sorted: the rows of :py:meth:`missed` and :py:meth:`true`."""
        return tuple(sorted({image.unit for image in self.images.values()}))

    @property
    def groups(self) -> dict[str, str | None]:
        """Group of each unit.

        Raises:
            ValueError: when images of one unit are in different groups.
        """
        groups: dict[str, str | None] = {}
        for image in self.images.values():
            other = groups.setdefault(image.unit, image.group)
            if other != image.group:
                raise ValueError(
                    f"Expected one group a unit, but {self.unit_name} {image.unit!r} is in {other!r} and "
                    f"{image.group!r}. Take a group that belongs to the {self.unit_name}, or a finer unit."
                )
        return groups

    @property
    def shift_weights(self) -> dict[str, float]:
        """Weight of each unit, which all of its images carry.

        Raises:
            ValueError: when an image has no weight, or images of a unit have different ones.
        """
        weights: dict[str, float] = {}
        for name, image in sorted(self.images.items()):
            if image.shift_weight is None:
                raise ValueError(
                    f"Expected a weight for every image, but {name!r} has none. Count with `shift_weight` "
                    "(`shift_weight_key` of the handler)."
                )
            other = weights.setdefault(image.unit, image.shift_weight)
            if not math.isclose(other, image.shift_weight, rel_tol=_ROUNDING):
                raise ValueError(
                    f"Expected one weight a unit, but images of {self.unit_name} {image.unit!r} have {other:.6g} and "
                    f"{image.shift_weight:.6g}. How often an image is met says little of how often its "
                    f"{self.unit_name} is: fit the density ratio on the mean features of each {self.unit_name}, and "
                    f"give all its images the weight of the {self.unit_name}."
                )
        return weights

    def only(self, units: Collection[str]) -> LossTable:
        """The part of the table that belongs to some units."""
        return replace(self, images={name: image for name, image in self.images.items() if image.unit in units})

    def missed(self, class_index: int, *, by_image: bool = False) -> np.ndarray:
        """Number of parts of the truth that the set at each threshold misses: true voxels with a score below it.

        Args:
            class_index: one of :py:attr:`classes`.
            by_image: whether a row is an image (in the sorted order of ids) instead of a unit.

        Returns:
            int64 array of shape ``[rows, L]``, not decreasing along a row; column ``j`` belongs to threshold ``t_j``.
        """
        at_level = self._by_level(class_index, by_image, "true")
        missed = np.zeros_like(at_level)
        np.cumsum(at_level[:, :-1], axis=1, out=missed[:, 1:])
        return missed

    def true(self, class_index: int, *, by_image: bool = False) -> np.ndarray:
        """Number of parts of the truth, int64 ``[rows]``; arguments as in :py:meth:`missed`."""
        return self._by_level(class_index, by_image, "true").sum(axis=1)

    def claimed_wrongly(self, class_index: int, *, by_image: bool = False) -> np.ndarray:
        """Number of voxels that are not true with a score from each threshold on; arguments as in :py:meth:`missed`.

        Returns:
            int64 array of shape ``[rows, L]``, not increasing along a row.

        Raises:
            ValueError: when the table's loss does not count them.
        """
        if not self.loss.of_excess:
            raise ValueError(f'The loss {self.loss.name!r} counts no wrong claims: count with loss="inner".')
        at_level = self._by_level(class_index, by_image, "false")
        return np.ascontiguousarray(np.cumsum(at_level[:, ::-1], axis=1)[:, ::-1])

    def image_units(self) -> tuple[str, ...]:
        """Unit of each image, in the sorted order of ids."""
        return tuple(self.images[name].unit for name in sorted(self.images))

    @staticmethod
    def join(tables: Iterable[LossTable]) -> LossTable:
        """Join tables of the same kind; an image that occurs in several of them counts once.

        Raises:
            ValueError: when there is no table, when tables differ in classes, grid or the way their scores were
                made, when the same image id stands for different counts, or when a unit is in two groups.
        """
        tables = list(tables)
        if not tables:
            raise ValueError("Expected at least one loss table to join, but got none.")
        first = tables[0]
        images: dict[str, ImageCounts] = {}
        for table in tables:
            for name in ("n_channels", "classes", "label_mode", "outside", "unit_name", "loss", "level_grid", "masked"):
                if getattr(table, name) != getattr(first, name):
                    raise ValueError(
                        f"Expected tables of one kind, but `{name}` is {getattr(first, name)!r} in one and "
                        f"{getattr(table, name)!r} in another."
                    )
            for image, counts in table.images.items():
                other = images.get(image)
                if other is not None and not other.same_image(counts):
                    raise ValueError(
                        f"The image id {image!r} stands for two different images (units {other.unit!r} and "
                        f"{counts.unit!r}). Every image needs an id of its own: give `case_key`. If it is one "
                        "image, its score was not made the same way twice."
                    )
                images[image] = counts if other is None else min(other, counts, key=ImageCounts.sort_key)
        joined = replace(first, images=images, provenance=ScoreRecord.join(table.provenance for table in tables))
        _ = joined.groups  # which refuses a unit in two groups
        return joined

    @staticmethod
    def merge(tables: Iterable[LossTable], *, shared_units: bool = False) -> LossTable:
        """Join tables of separate jobs or hospitals, which have no image in common.

        Args:
            tables: tables of one kind.
            shared_units: whether a unit may have images in several tables (one patient's slices counted by several
                jobs). False refuses it: two hospitals may both have a "patient 1".

        Raises:
            ValueError: as :py:meth:`join`, and when an image, or a unit that is not shared, is in several tables.
        """
        tables = list(tables)
        for kind, names in (("image", [t.images for t in tables]), ("unit", [t.units for t in tables])):
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
        return LossTable.join(tables)

    def save(self, path: str | Path) -> None:
        """Write the table as JSON: counts and names, no image; the file appears whole or not at all.

        Args:
            path: where to write; a file there is replaced.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
        """
        from monai_rwcp.conformal.counting.table_file import table_to_document

        write_json(table_to_document(self), path)

    @staticmethod
    def load(path: str | Path) -> LossTable:
        """Read a table and make sure that it is whole.

        Args:
            path: a file written by :py:meth:`save`.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it is not a loss table, of another version or grid, damaged, or edited after it was
                written.
        """
        from monai_rwcp.conformal.counting.table_file import table_from_document

        return table_from_document(read_json(path, "loss table", "Save one with LossTable.save"), path)

    def _by_level(self, class_index: int, by_image: bool, which: Literal["true", "false"]) -> np.ndarray:
        if class_index not in self.classes:
            raise KeyError(f"Class {class_index} is not in this table; its classes are {list(self.classes)}.")
        rows = sorted(self.images) if by_image else self.units
        row_of = {name: i for i, name in enumerate(rows)}
        total = np.zeros((len(rows), len(threshold_levels())), dtype=np.int64)
        for name, image in self.images.items():
            histogram = (image.true if which == "true" else image.false)[class_index]
            total[row_of[name if by_image else image.unit]][histogram.levels] += histogram.counts
        return total
