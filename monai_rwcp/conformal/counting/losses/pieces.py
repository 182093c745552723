"""The loss of lesions: how many connected pieces of the truth are missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss, by_level
from monai_rwcp.utils.arguments import exact
from monai_rwcp.utils.packages import needed

__all__ = ["InstanceFalseNegativeRate"]


@dataclass(frozen=True)
class InstanceFalseNegativeRate(SetLoss):
    r"""Share of the truth's connected pieces that the set covers by less than a fraction of their volume.

    .. math:: L(C) = \#\{i : |Y_i \cap C| < f\,|Y_i|\} / \#\{i\}

    Pieces are voxels that share faces. A piece is found up to the level that its :math:`\lceil f |Y_i| \rceil`-th
    highest voxel reaches.

    Args:
        fraction: the fraction ``f`` in (0, 1] of a piece that makes it found.

    Raises:
        ValueError: when the fraction is outside (0, 1].
        ImportError: while counting, when scipy is missing.

    Example:
        >>> InstanceFalseNegativeRate(0.5).subject("lesion")
        'the separate pieces of lesion are covered by less than 50 %'
    """

    fraction: float = 0.5
    name: ClassVar[str] = "instance_fnr"

    def __post_init__(self) -> None:
        if isinstance(self.fraction, bool) or not isinstance(self.fraction, (int, float)) or not 0 < self.fraction <= 1:
            raise ValueError(f"Expected `fraction` to be a number in (0, 1], such as 0.5, but got {self.fraction!r}.")

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :py:meth:`SetLoss.count`."""
        with needed("Finding the pieces of the truth needs", "report", "scipy"):
            from scipy.ndimage import label
        pieces, n_pieces = label(case.truth.cpu().numpy())
        piece = torch.from_numpy(pieces).to(case.truth.device)[case.truth].long() - 1
        level = case.levels(case.truth)
        # By piece, and in it from the highest level down.
        order = level.sort(descending=True, stable=True).indices
        order = order[piece[order].sort(stable=True).indices]
        size = torch.bincount(piece, minlength=n_pieces)
        share = exact(self.fraction)
        enough = -(-size * share.numerator // share.denominator)
        last = torch.cumsum(size, dim=0) - size + enough - 1
        return by_level(level[order[last]]), None

    def subject(self, class_name: str) -> str:
        """See :py:meth:`SetLoss.subject`."""
        return f"the separate pieces of {class_name} are covered by less than {100 * self.fraction:.4g} %"
