"""What is counted of a label, and for whom: one object, built where the arguments come in and passed whole below."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from monai_rwcp.conformal.counting.labels import LabelMode, calibrated_classes
from monai_rwcp.utils.arguments import check_choice

__all__ = ["CountingOptions", "EmptyTruth", "UnitLoss"]

EmptyTruth = Literal["exclude", "zero"]
UnitLoss = Literal["pooled", "mean"]

_CHOICES = {"label_mode": LabelMode, "empty": EmptyTruth, "unit_loss": UnitLoss}


@dataclass(frozen=True)
class CountingOptions:
    """What is counted in an image, and how a unit's loss is made of its images.

    ``empty`` and ``unit_loss`` matter only when calibrating: a table's counts are the same whatever they are, so a
    table leaves them at their defaults, and a calibration says which it took.

    Args:
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"`` (overlapping; every channel is a structure).
        include_background: whether channel 0 is counted too; False for regions, which have no background.
        masked: whether voxels outside a mask are left out, so that nothing is known of them.
        empty: whether a unit without the class does not count for it (``"exclude"``) or counts with loss 0
            (``"zero"``).
        unit_loss: whether a unit's loss is that of all its images together (``"pooled"``) or the mean over those of
            its images that show the class (``"mean"``).

    Raises:
        ValueError: when one has another value; the message names it.

    Example:
        >>> CountingOptions(label_mode="regions").classes(3)
        (0, 1, 2)
    """

    label_mode: LabelMode = "index"
    include_background: bool = False
    masked: bool = False
    empty: EmptyTruth = "exclude"
    unit_loss: UnitLoss = "pooled"

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), get_args(choices))
        for name in ("include_background", "masked"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"Expected `{name}` to be True or False, but got {getattr(self, name)!r}.")
        if self.label_mode == "regions":
            object.__setattr__(self, "include_background", False)

    def classes(self, n_channels: int) -> tuple[int, ...]:
        """Channel numbers that are counted."""
        return calibrated_classes(n_channels, self.label_mode, self.include_background)

    def of_table(self) -> CountingOptions:
        """These options as a table of counts carries them, from which a unit's loss can be read in either way."""
        return replace(self, empty="exclude", unit_loss="pooled")
