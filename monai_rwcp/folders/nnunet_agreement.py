"""Whether a segmentation is what nnU-Net makes of a map, class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monai_rwcp.folders.nnunet_documents import NnunetRegions

__all__ = ["Agreement", "agreement"]

# Half precision has steps of .0005 below 1, and the segmentation was made before it rounded.
_ROUNDED = 1e-3


@dataclass(frozen=True)
class Agreement:
    """How a segmentation agrees with what nnU-Net makes of a map.

    Args:
        dice: where there is a difference, of each class that one of both has, but the background.
        removed: voxels that post-processing has taken from each class, where that is the only difference.
        fits: whether there is no other difference, and something of each class remains.
    """

    dice: Mapping[int, float]
    removed: Mapping[int, int]
    fits: bool

    @property
    def worst_dice(self) -> float:
        """Dice of the class that agrees least; 1 where there is none."""
        return min(self.dice.values(), default=1.0)

    def __str__(self) -> str:
        if self.removed:
            return ", ".join(f"{n} voxels of label {c}" for c, n in self.removed.items())
        worst = min(self.dice, key=lambda c: self.dice[c], default=0)
        return f"label {worst} has a Dice of {self.worst_dice:.3g} between both, where it should be 1"


def agreement(values: np.ndarray, label: np.ndarray, regions: NnunetRegions | None) -> Agreement:
    """Compare a segmentation with a map that was put on its grid.

    Every voxel is asked: its share of the whole image would hide a small organ. nnU-Net makes the segmentation of the
    very numbers it writes, so only numbers that are alike up to rounding may be decided either way. Its
    post-processing takes whole pieces away, which leaves no face between what was taken and what was kept of a class.

    Args:
        values: ``[C, x, y, z]``.
        label: ``[x, y, z]``.
        regions: what the channels are; None for classes.

    Example:
        >>> values = np.array([0.2, 0.8, 0.2, 0.7]).reshape(1, 4, 1, 1)
        >>> of = NnunetRegions({"organ": (1,)}, (1,))
        >>> agreement(values, np.array([0, 1, 0, 0]).reshape(4, 1, 1), of).removed
        {1: 1}
        >>> agreement(values, np.array([1, 0, 1, 0]).reshape(4, 1, 1), of).fits
        False
    """
    wrong = ~_as_likely(values, label) if regions is None else _painted(values, label, regions.painted) != label
    if not wrong.any():
        return Agreement({}, {}, fits=True)
    made = label.copy()
    made[wrong] = (values.argmax(axis=0) if regions is None else _painted(values, label, regions.painted))[wrong]
    classes = [int(c) for c in np.union1d(made, label) if c != 0]
    masks = {c: (made == c, label == c) for c in classes}
    dice = {c: float(2 * (m & of).sum() / (m.sum() + of.sum())) for c, (m, of) in masks.items()}
    if label[wrong].any() or any(_touch(of, m & wrong) for m, of in masks.values()):
        return Agreement(dice, {}, fits=False)
    removed = {c: int((m & wrong).sum()) for c, (m, _) in masks.items() if (m & wrong).any()}
    return Agreement(dice, removed, fits=all(of.any() for _, of in masks.values()))


def _as_likely(values: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Where the class of a label has the highest value, or one that is alike up to rounding.

    What is 0 in all channels is background: nnU-Net has cropped it, or nothing was ever written there.
    """
    highest = values.max(axis=0)
    given = highest > 0
    highest -= _ROUNDED
    found = np.zeros(label.shape, dtype=bool)
    for number, channel in enumerate(values):
        found |= (label == number) & (channel >= highest) & (given if number else True)
    return found


def _painted(values: np.ndarray, label: np.ndarray, painted: tuple[int, ...]) -> np.ndarray:
    """The segmentation that nnU-Net makes of regions; the label's own where rounding decides."""
    made, undecided = np.zeros_like(label), np.zeros(label.shape, dtype=bool)
    for channel, number in zip(values, painted, strict=True):
        made[channel > 0.5] = number
        undecided |= np.abs(channel - 0.5) <= _ROUNDED
    return np.where(undecided, label, made)


def _touch(kept: np.ndarray, taken: np.ndarray) -> bool:
    """Whether two masks share a face of a voxel."""
    for axis in range(kept.ndim):
        one, other = (np.moveaxis(mask, axis, 0) for mask in (kept, taken))
        if (one[1:] & other[:-1]).any() or (one[:-1] & other[1:]).any():
            return True
    return False
