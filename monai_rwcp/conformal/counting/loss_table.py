"""The loss table: what every threshold misses or claims wrongly, image by image, joinable in any order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from monai_rwcp.conformal.counting.image_counts import (
    ImageCounts,
    check_counted_once,
    group_of_each_unit,
    joined_images,
    shift_weight_of_each_unit,
)
from monai_rwcp.conformal.counting.levels import LEVEL_GRID, threshold_levels
from monai_rwcp.conformal.counting.losses.base import SetLoss
from monai_rwcp.conformal.counting.losses.choice import loss_from_record, readable_record
from monai_rwcp.conformal.counting.losses.voxels import FalseNegativeRate
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.counting.table_file import TABLE_DOCUMENT, images_from_document, images_to_document
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.utils.json_documents import dataclass_from_document, write_json

__all__ = ["LossTable"]


@dataclass(frozen=True)
class LossTable:
    """Counts of missed and true voxels, or of other parts of the truth, per unit, class and threshold level.

    Counts are kept by image and only added up by unit when they are read: an image that two processes saw counts
    once, also where rounding moved its scores a little, and tables join exactly, in any order.

    Args:
        n_channels: number of channels of the score.
        classes: channel numbers that are calibrated.
        images: counts of each image by its id.
        counting: what was counted.
        unit_name: what a unit is, for people: "patient", "image".
        provenance: how the scores were made, see :py:class:`monai_rwcp.provenance.ScoreRecord`.
        loss: which loss was counted.
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
    counting: CountingOptions = field(default_factory=CountingOptions)
    unit_name: str = "image"
    provenance: ScoreRecord = UNRECORDED
    loss: SetLoss = field(default_factory=FalseNegativeRate)
    level_grid: str = LEVEL_GRID

    def __repr__(self) -> str:
        counted = f"{len(self.units)} {self.unit_name}s, {len(self.images)} images"
        return f"LossTable({self.loss.name} of classes {list(self.classes)}: {counted})"

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, sorted. They name the rows of :py:meth:`missed` and :py:meth:`true`."""
        return tuple(sorted({image.unit for image in self.images.values()}))

    @property
    def groups(self) -> dict[str, str | None]:
        """Group of each unit.

        Raises:
            ValueError: when images of one unit are in different groups.
        """
        return group_of_each_unit(self.images, self.unit_name)

    @property
    def shift_weights(self) -> dict[str, float]:
        """Weight of each unit, which all of its images carry.

        Raises:
            ValueError: when an image has no weight, or images of a unit have different ones.
        """
        return shift_weight_of_each_unit(self.images, self.unit_name)

    def only(self, units: Collection[str]) -> LossTable:
        """The part of the table that belongs to some units."""
        return replace(self, images={name: image for name, image in self.images.items() if image.unit in units})

    def missed(self, class_index: int, *, by_image: bool = False) -> np.ndarray:
        """Number of parts of the truth that the set at each threshold misses: true voxels with a score below it.

        Args:
            class_index: one of ``classes``.
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
        kind = tables[0]._kind()
        for table in tables:
            for name, value in table._kind().items():
                if value != kind[name]:
                    first, other = (next(iter(sorted(of.images)), "none") for of in (tables[0], table))
                    raise ValueError(
                        f"Expected tables of one kind, but `{name}` is {kind[name]!r} for '{first}' and {value!r} for "
                        f"'{other}'. Take those that were made the same way."
                    )
        images = joined_images(table.images for table in tables)
        joined = replace(tables[0], images=images, provenance=ScoreRecord.join(table.provenance for table in tables))
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
        check_counted_once([table.images for table in tables], [table.units for table in tables], shared_units)
        return LossTable.join(tables)

    def save(self, path: str | Path) -> None:
        """Write the table as JSON: counts and names, no image; the file appears whole or not at all.

        Args:
            path: where to write; a file there is replaced.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
            ValueError: when its loss is of a class that could not be read back.
        """
        write_json(self.to_document(), path)

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
        document = TABLE_DOCUMENT.read(path)
        with TABLE_DOCUMENT.contents_of(path):
            if (grid := document["level_grid"]) != LEVEL_GRID:
                raise ValueError(f"it counts on the grid {grid!r}, but this release on {LEVEL_GRID!r}.")
            classes, loss = tuple(int(c) for c in document["classes"]), loss_from_record(document["loss"])
            return LossTable(
                n_channels=document["n_channels"],
                classes=classes,
                images=images_from_document(document["images"], classes, loss),
                counting=dataclass_from_document(CountingOptions, document["counting"]),
                unit_name=document["unit_name"],
                provenance=ScoreRecord.from_json(document["provenance"]),
                loss=loss,
            )

    def to_document(self) -> dict[str, Any]:
        """The table as JSON, with the digest that shows later changes."""
        return TABLE_DOCUMENT.signed(
            {
                "n_channels": self.n_channels,
                "classes": list(self.classes),
                "counting": asdict(self.counting),
                "loss": readable_record(self.loss),
                "unit_name": self.unit_name,
                "level_grid": self.level_grid,
                "provenance": self.provenance.to_json(),
                "images": images_to_document(self.images),
            }
        )

    def _kind(self) -> dict[str, Any]:
        """What tables have to have in common to be joined, by name."""
        own = {name: getattr(self, name) for name in ("n_channels", "classes", "unit_name", "loss", "level_grid")}
        return own | asdict(self.counting)

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
