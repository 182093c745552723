"""How large sets are and what they miss along the thresholds, unit by unit: all that choosing needs to know."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from monai_rwcp.conformal.counting.labels import (
    LabelMode,
    calibrated_classes,
    check_label,
    check_score,
    check_single_channel,
    truth_masks,
)
from monai_rwcp.conformal.counting.levels import threshold_levels
from monai_rwcp.utils.same_grid import check_same_grid

__all__ = ["SetCurves", "set_curves", "tuning_thresholds"]

# Choosing needs no finer grid: 1/32 in logits.
_EVERY = 8


@lru_cache(maxsize=1)
def tuning_thresholds() -> np.ndarray:
    """Thresholds that are looked at while tuning: every eighth of those that a calibration chooses from.

    Returns:
        read-only float32 array of shape ``[L]``, ascending from 0.

    Example:
        >>> float(tuning_thresholds()[0]), len(tuning_thresholds())
        (0.0, 747)
    """
    thresholds = threshold_levels()[::_EVERY].copy()
    thresholds.setflags(write=False)
    return thresholds


@dataclass(frozen=True)
class SetCurves:
    """Counts of voxels of some units for every class and threshold.

    Args:
        units: names of the units.
        classes: channel numbers.
        true: true voxels, integers ``[units, classes]``.
        missed: those that the set misses, integers ``[units, classes, thresholds]``.
        size: voxels in the set, integers ``[units, classes, thresholds]``.

    Raises:
        ValueError: when the shapes do not fit, or a unit is named twice.
    """

    units: tuple[str, ...]
    classes: tuple[int, ...]
    true: np.ndarray
    missed: np.ndarray
    size: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.units), len(self.classes))
        along = (*shape, len(tuning_thresholds()))
        if self.true.shape != shape or self.missed.shape != along or self.size.shape != along:
            raise ValueError(
                f"Expected counts of shapes {shape} and {along}, but got {self.true.shape}, {self.missed.shape} and "
                f"{self.size.shape}."
            )
        if len(set(self.units)) != len(self.units):
            raise ValueError(f"Expected every unit once, but got {list(self.units)}. Pool the images of a unit.")

    def __repr__(self) -> str:
        return f"SetCurves({len(self.units)} units, classes {list(self.classes)})"

    @staticmethod
    def join(parts: Iterable[SetCurves]) -> SetCurves:
        """Put curves of different units together.

        Raises:
            ValueError: when there is none, they have other classes, or a unit is in two of them.
        """
        found = list(parts)
        if not found or any(part.classes != found[0].classes for part in found):
            raise ValueError(f"Expected curves of the same classes, but got {[part.classes for part in found]}.")
        arrays = (np.concatenate([getattr(part, name) for part in found]) for name in ("true", "missed", "size"))
        return SetCurves(tuple(unit for part in found for unit in part.units), found[0].classes, *arrays)

    def plus(self, other: SetCurves) -> SetCurves:
        """Add the counts of other images of the same units and classes.

        Raises:
            ValueError: when they have other units or classes.
        """
        if (self.units, self.classes) != (other.units, other.classes):
            raise ValueError(f"Expected counts of the same units and classes, but got {self!r} and {other!r}.")
        arrays = (np.add(getattr(self, n), getattr(other, n), dtype=np.int64) for n in ("true", "missed", "size"))
        return SetCurves(self.units, self.classes, *arrays)

    def only(self, units: Collection[str]) -> SetCurves:
        """Keep some units, in the order they are in.

        Raises:
            ValueError: when one of them is not there.
        """
        missing = sorted(set(units) - set(self.units))
        if missing:
            raise ValueError(f"Expected units of these curves, but {missing[:5]} ({len(missing)} in all) are not.")
        kept = [i for i, unit in enumerate(self.units) if unit in set(units)]
        names = tuple(self.units[i] for i in kept)
        return SetCurves(names, self.classes, self.true[kept], self.missed[kept], self.size[kept])

    def pooled(self, owner: Mapping[str, str]) -> SetCurves:
        """Add up the counts of what belongs together, such as the images of a patient.

        Args:
            owner: for every unit here the one it belongs to.
        """
        names = tuple(dict.fromkeys(owner[unit] for unit in self.units))
        place = np.array([names.index(owner[unit]) for unit in self.units])
        pooled = []
        for counts in (self.true, self.missed, self.size):
            total = np.zeros((len(names), *counts.shape[1:]), dtype=np.int64)
            np.add.at(total, place, counts)
            pooled.append(total)
        return SetCurves(names, self.classes, *pooled)

    @property
    def false_negative_rate(self) -> np.ndarray:
        """Missed over true voxels, float64 ``[units, classes, thresholds]``; nan where a unit lacks the class."""
        return self._over_truth(self.missed)

    @property
    def stretch(self) -> np.ndarray:
        """Size of set over truth, float64 ``[units, classes, thresholds]``; nan where a unit lacks the class."""
        return self._over_truth(self.size)

    @property
    def dice(self) -> np.ndarray:
        """Dice coefficient of set and truth, float64 ``[units, classes, thresholds]``; nan without the class."""
        true = self.true[..., None]
        return np.where(true > 0, 2 * (true - self.missed) / np.maximum(true + self.size, 1), np.nan)

    def _over_truth(self, counts: np.ndarray) -> np.ndarray:
        true = self.true[..., None]
        return np.where(true > 0, counts / np.maximum(true, 1), np.nan)


@torch.no_grad()
def set_curves(
    score: torch.Tensor,
    label: torch.Tensor,
    *,
    unit: str,
    label_mode: LabelMode = "index",
    include_background: bool = False,
    mask: torch.Tensor | None = None,
) -> SetCurves:
    """Count what the sets of one image miss and how large they are, at every tuning threshold.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        label: the truth on the same grid, see :py:func:`monai_rwcp.conformal.truth_masks` for its forms.
        unit: name of the row.
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"``.
        include_background: whether channel 0 counts too; regions have no background.
        mask: ``[1, *spatial]``, not 0 where voxels count; None counts all.

    Returns:
        curves of one unit.

    Raises:
        ValueError: when score, label or mask do not fit, see :py:func:`monai_rwcp.conformal.case_loss_table`.

    Example:
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> curves = set_curves(score, torch.tensor([[[0, 1, 1]]]), unit="anna")
        >>> curves.true.tolist(), curves.size[0, 0, 0].item(), curves.missed[0, 0, 0].item()
        ([[2]], 3, 0)
    """
    maps = {"score": score, "label": label, "mask": mask}
    check_same_grid({what: (what, value) for what, value in maps.items()}, set())
    check_score(score)
    check_label(label, score, label_mode)
    classes = calibrated_classes(score.shape[0], label_mode, include_background)
    counted = None
    if mask is not None:
        check_single_channel("mask", mask, score)
        counted = mask[0] != 0
    truth = truth_masks(label, score, classes, label_mode, counted)
    true, missed, size = [], [], []
    # Class by class: sorting takes twice the memory of scores.
    for c in classes:
        # Rounding may leave a score below 0, the threshold of the whole image.
        values = score[c].to(torch.float32).clamp(min=0)
        claimed = _reached(values[truth[c]])
        size.append(_reached(values.flatten() if counted is None else values[counted]))
        # The lowest threshold, 0, claims everything.
        true.append(int(claimed[0]))
        missed.append(claimed[0] - claimed)
    # Half the memory, where no count can be too large for it.
    dtype = np.int32 if score[0].numel() < 2**31 else np.int64
    along = (np.stack(counts)[None].astype(dtype) for counts in (missed, size))
    return SetCurves((unit,), classes, np.array([true]), *along)


def _reached(values: torch.Tensor) -> np.ndarray:
    """How many of some values ``[n]`` are not below each threshold, int64 ``[thresholds]``."""
    thresholds = tuning_thresholds()
    if values.device.type == "cpu":
        # NumPy sorts in a fraction of the time that searching every voxel's level takes.
        below = np.searchsorted(np.sort(values.numpy()), thresholds)
    else:
        below = torch.searchsorted(values.sort().values, torch.tensor(thresholds, device=values.device)).cpu().numpy()
    return values.numel() - below
