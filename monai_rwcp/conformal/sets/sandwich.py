"""An inner and an outer set of one score: what is surely the structure, and what may be."""

from __future__ import annotations

from typing import NamedTuple

import torch

from monai_rwcp.conformal.promises.calibration import Calibration
from monai_rwcp.conformal.sets.prediction_set import prediction_set, set_at

__all__ = ["Sandwich", "conformal_sandwich"]


class Sandwich(NamedTuple):
    """Two sets of every calibrated class, one inside the other, and where more than one class is possible.

    Args:
        inner: uint8 ``[C, *spatial]``: surely the class.
        outer: uint8 ``[C, *spatial]``: everything that may be the class.
        uncertain: uint8 ``[1, *spatial]``: voxels that may be more than one class, the background among them; for
            overlapping regions voxels that may or may not be in some region.
    """

    inner: torch.Tensor
    outer: torch.Tensor
    uncertain: torch.Tensor


@torch.no_grad()
def conformal_sandwich(
    score: torch.Tensor,
    inner: Calibration,
    outer: Calibration,
    *,
    group: str | None = None,
    weight: float | None = None,
) -> Sandwich:
    r"""Take the inner and the outer set of each class, each with a promise of its own.

    .. math:: C_{in} = \{x : s(x) \ge \max(t_{in}, t_{out})\} \subseteq C_{out} = \{x : s(x) \ge t_{out}\}

    The maximum nests them and keeps both promises: an inner set only shrinks by it, and its loss with it.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        inner: a calibration of the loss ``"inner"``, or of ``"false_discovery"``.
        outer: a calibration of a loss of what the set misses, such as ``"fnr"``.
        group: the unit's group, where both calibrations are by groups.
        weight: the unit's weight, where both calibrations are weighted.

    Returns:
        the sets.

    Raises:
        ValueError: when the calibrations are of other losses, classes, labels or groups than each other, or do not fit
            the score. For the false discovery proportion the maximum could raise the loss, so its inner threshold must
            be the larger one already.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import LossTable, calibrate, case_loss_table
        >>> score, label = torch.tensor([[[0.4, 0.8, 0.9]], [[0.6, 0.2, 0.1]]]), torch.tensor([[[1, 1, 0]]])
        >>> tables = {loss: LossTable.join(case_loss_table(score, label, loss=loss, unit=str(i)) for i in range(30))
        ...           for loss in ("inner", "fnr")}
        >>> sets = conformal_sandwich(score, calibrate(tables["inner"]), calibrate(tables["fnr"]))
        >>> sets.inner[1].tolist(), sets.outer[1].tolist(), sets.uncertain.tolist()
        ([[1, 1, 0]], [[1, 1, 0]], [[[0, 0, 0]]])
    """
    if not inner.loss.of_excess or outer.loss.of_excess:
        raise ValueError(
            'Expected `inner` calibrated for the loss "inner" (or "false_discovery") and `outer` for a loss such as '
            f'"fnr", but got {inner.loss.name!r} and {outer.loss.name!r}.'
        )
    for name, of_inner, of_outer in (
        ("n_channels", inner.n_channels, outer.n_channels),
        ("label_mode", inner.counting.label_mode, outer.counting.label_mode),
    ):
        if of_inner != of_outer:
            raise ValueError(
                f"Expected two calibrations of the same scores, but `{name}` is {of_inner!r} in `inner` and "
                f"{of_outer!r} in `outer`. Calibrate both in one run."
            )
    # Both ways, since a spacing that varies in one agrees with any in the other.
    for one, other, names in ((outer, inner, ("inner", "outer")), (inner, outer, ("outer", "inner"))):
        differing = one.provenance.first_difference(other.provenance)
        if differing is not None:
            raise ValueError(
                f"Expected two calibrations of the same scores, but of `{names[0]}` "
                f"{differing.in_words(f'`{names[1]}`')}. Calibrate both in one run."
            )
    in_thresholds = inner.thresholds_for(group, weight)
    out_thresholds = outer.thresholds_for(group, weight)
    if in_thresholds.keys() != out_thresholds.keys():
        raise ValueError(
            f"Expected the same classes in both calibrations, but got {list(in_thresholds)} and {list(out_thresholds)}."
        )
    for c, threshold in in_thresholds.items():
        if threshold < out_thresholds[c] and not inner.loss.monotone:
            raise ValueError(
                f"The inner set of {inner.class_name(c)} would be larger than its outer one (thresholds "
                f"{threshold:.6g} and {out_thresholds[c]:.6g}), and a smaller inner set may have a larger false "
                'discovery proportion. Use the loss "inner", or a smaller alpha for the outer set.'
            )
        in_thresholds[c] = max(threshold, out_thresholds[c])
    outer_set = prediction_set(score, outer, group=group, weight=weight)
    inner_set = set_at(score, in_thresholds)
    if outer.counting.label_mode == "regions":
        uncertain = (outer_set != inner_set).any(dim=0, keepdim=True)
    else:
        # The background is one more class that is possible wherever nothing is sure.
        classes = list(outer.classes)
        possible = outer_set[classes].sum(dim=0, keepdim=True)
        if 0 not in outer.classes:
            possible = possible + (inner_set[classes].sum(dim=0, keepdim=True) == 0)
        uncertain = possible > 1
    return Sandwich(inner_set, outer_set, uncertain.to(torch.uint8))
