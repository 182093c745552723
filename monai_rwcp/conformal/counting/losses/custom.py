"""A loss of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import torch

from monai_rwcp.conformal.counting.levels import threshold_levels
from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss

__all__ = ["CustomLoss"]

# Losses are counted in whole numbers of this part of 1, rounded up.
_PARTS = 2**32
_N_THRESHOLDS = 128


@dataclass(frozen=True)
class CustomLoss(SetLoss):
    """A loss that the user computes from a set and the truth.

    It is computed at 128 thresholds, spread over the threshold grid, of which one will be chosen. Thresholds can be
    calibrated only for a loss that does not rise as the set grows, and that is 0 for the whole image.

    Args:
        title: its name in promises and files.
        function: takes a set and the truth, bool tensors ``[*spatial]`` (both False in voxels that do not count), and
            returns the loss in [0, 1]; called only for images that show the class. None for a loss read from a file.
        monotone_by: ``"nature"``: a loss that rises as the set grows is refused; ``"envelope"``: the loss is replaced
            by its highest value on this and all larger sets, of which the promise is made.

    Raises:
        ValueError: when an argument does not fit; while counting, when the loss is not finite, outside [0, 1], not 0
            for the whole image, or rises as the set grows.

    Source: arXiv 2208.02814, section 3.1 (monotonized losses).

    Example:
        >>> import torch
        >>> def whole_organ(prediction_set, truth):
        ...     return float((truth & ~prediction_set).any())
        >>> CustomLoss("any voxel missed", whole_organ).subject("liver")
        'the highest possible loss "any voxel missed" of liver is reached'
    """

    title: str
    function: Callable[[torch.Tensor, torch.Tensor], float] | None = field(
        default=None, compare=False, metadata={"recorded": False}
    )
    monotone_by: Literal["nature", "envelope"] = "nature"
    name: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        if not isinstance(self.title, str) or not self.title:
            raise ValueError(f"Expected `title` to be a name for the loss, but got {self.title!r}.")
        if self.monotone_by not in ("nature", "envelope"):
            raise ValueError(f'Expected `monotone_by` to be "nature" or "envelope", but got {self.monotone_by!r}.')

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :py:meth:`SetLoss.count`."""
        top = len(threshold_levels()) - 1
        counts = torch.zeros(top + 1, dtype=torch.int64)
        if not case.truth.any():
            return counts, None
        chosen = np.unique(np.linspace(0, top, _N_THRESHOLDS).round().astype(int))
        losses = np.array(self._losses(case, chosen))
        if losses[0] > 0:
            raise ValueError(
                f"the loss {self.title!r} of the whole image is {losses[0]:.6g}, but no calibration can promise "
                "anything unless it is 0."
            )
        highest = np.maximum.accumulate(losses)
        if self.monotone_by == "nature" and (highest > losses).any():
            worst = int(np.argmax(highest - losses))
            low, high = (1 - threshold_levels()[chosen[i]] for i in (worst, int(np.argmax(losses[:worst]))))
            raise ValueError(
                f"the loss {self.title!r} rises as the set grows: from {losses[worst]:.6g} at lambda = {low:.4g} to "
                f"{highest[worst]:.6g} at lambda = {high:.4g}. Conformal risk control does not hold for it. Use "
                'monotone_by="envelope", which promises its highest value on this and all larger sets.'
            )
        whole = np.ceil(highest * _PARTS).astype(np.int64)
        # Up to each chosen level the loss is the one of that level: the larger of the two it lies between.
        counts[torch.from_numpy(chosen[:-1])] = torch.from_numpy(np.diff(whole))
        counts[top] += _PARTS - int(whole[-1])
        return counts, None

    def subject(self, class_name: str) -> str:
        """See :py:meth:`SetLoss.subject`."""
        return f'the highest possible loss "{self.title}" of {class_name} is reached'

    def _losses(self, case: ClassCase, chosen: np.ndarray) -> list[float]:
        if self.function is None:
            raise ValueError(f"the function of the loss {self.title!r} is not known: give it to CustomLoss.")
        counted = torch.ones_like(case.truth) if case.counted is None else case.counted
        level = torch.full(case.truth.shape, -1, dtype=torch.int64, device=case.truth.device)
        level[counted] = case.levels(counted)
        losses = []
        for j in chosen:
            # A copy of the truth each time: the function is the user's, and the label is not its to change.
            loss = float(self.function(level >= int(j), case.truth.clone()))
            if not 0 <= loss <= 1:
                raise ValueError(
                    f"the loss {self.title!r} is {loss!r} at lambda = {1 - threshold_levels()[j]:.4g}, but losses have "
                    "to lie in [0, 1]. Divide it by the highest value it can have."
                )
            losses.append(loss)
        return losses
