"""Losses that look at every voxel alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from monai_rwcp.conformal.counting.losses.base import ClassCase, SetLoss, by_level

__all__ = ["FalseDiscoveryProportion", "FalseNegativeRate", "InnerSetLoss", "WeightedFalseNegativeRate"]


@dataclass(frozen=True)
class FalseNegativeRate(SetLoss):
    r"""Share of the true voxels that the set misses.

    .. math:: L(C) = |Y \setminus C| / |Y|

    Source: arXiv 2208.02814, section 3.

    Example:
        >>> FalseNegativeRate().subject("liver")
        'liver is missed'
    """

    name: ClassVar[str] = "fnr"
    by_slab: ClassVar[bool] = True

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :py:meth:`SetLoss.count`."""
        return by_level(case.levels(case.truth)), None

    def subject(self, class_name: str) -> str:
        """See :py:meth:`SetLoss.subject`."""
        return f"{class_name} is missed"


@dataclass(frozen=True)
class WeightedFalseNegativeRate(SetLoss):
    r"""Share of the truth's weight that the set misses, for voxels that matter more than others (near a vessel).

    .. math:: L(C) = \sum_{x \in Y \setminus C} w(x) \Big/ \sum_{x \in Y} w(x)

    Weights are counted in steps of 1/65536. An image in which the truth has no weight counts as one without the class.

    Example:
        >>> WeightedFalseNegativeRate().subject("liver")
        'the weight of liver is missed'
    """

    name: ClassVar[str] = "weighted_fnr"
    by_slab: ClassVar[bool] = True
    needs_weight: ClassVar[bool] = True

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :py:meth:`SetLoss.count`."""
        assert case.weight is not None
        return by_level(case.levels(case.truth), case.weight[case.truth]), None

    def subject(self, class_name: str) -> str:
        """See :py:meth:`SetLoss.subject`."""
        return f"the weight of {class_name} is missed"


@dataclass(frozen=True)
class InnerSetLoss(SetLoss):
    r"""Size of what a set claims wrongly over the size of the truth, for inner sets ("surely organ").

    .. math:: L(C) = \min\{1,\; |C \setminus Y| / |Y|\}

    It grows with the set: calibration finds the largest set that keeps the promise, in the worst case the empty one.

    Example:
        >>> InnerSetLoss().subject("liver")
        'the size of liver is claimed wrongly'
    """

    name: ClassVar[str] = "inner"
    of_excess: ClassVar[bool] = True
    by_slab: ClassVar[bool] = True

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :py:meth:`SetLoss.count`."""
        return _true_and_false(case)

    def subject(self, class_name: str) -> str:
        """See :py:meth:`SetLoss.subject`."""
        return f"the size of {class_name} is claimed wrongly"


@dataclass(frozen=True)
class FalseDiscoveryProportion(SetLoss):
    r"""Share of a set that is not true (one minus precision), 0 for the empty set.

    .. math:: L(C) = |C \setminus Y| / |C|

    It neither rises nor falls with the set for sure, so only Learn-then-Test (``method="ltt"``) can promise it.

    Source: arXiv 2110.01052 (Learn then Test).

    Example:
        >>> FalseDiscoveryProportion().subject("liver")
        'what is claimed as liver is something else'
    """

    name: ClassVar[str] = "false_discovery"
    of_excess: ClassVar[bool] = True
    monotone: ClassVar[bool] = False
    by_slab: ClassVar[bool] = True

    def count(self, case: ClassCase) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See :py:meth:`SetLoss.count`."""
        return _true_and_false(case)

    def subject(self, class_name: str) -> str:
        """See :py:meth:`SetLoss.subject`."""
        return f"what is claimed as {class_name} is something else"


def _true_and_false(case: ClassCase) -> tuple[torch.Tensor, torch.Tensor]:
    other = ~case.truth if case.counted is None else case.counted & ~case.truth
    return by_level(case.levels(case.truth)), by_level(case.levels(other))
