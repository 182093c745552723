"""From one image's score and truth to its row in the loss table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from monai_rwcp.conformal.counting.count_case import count_case
from monai_rwcp.conformal.counting.labels import LabelMode
from monai_rwcp.conformal.counting.loss_table import LossTable
from monai_rwcp.conformal.counting.losses.choice import LossChoice, loss_from
from monai_rwcp.conformal.counting.losses.voxels import FalseNegativeRate
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.provenance.record import UNRECORDED, ScoreRecord
from monai_rwcp.utils.same_grid import check_same_grid
from monai_rwcp.utils.voxels import Voxel

__all__ = ["case_loss_table", "false_negative_rate_table"]


def case_loss_table(
    score: torch.Tensor,
    label: torch.Tensor,
    *,
    loss: LossChoice,
    unit: str,
    image: str | None = None,
    group: str | None = None,
    shift_weight: float | None = None,
    weight: torch.Tensor | None = None,
    spacing: Sequence[float] | Voxel | None = None,
    label_mode: LabelMode = "index",
    include_background: bool = False,
    mask: torch.Tensor | None = None,
    unit_name: str = "image",
    provenance: ScoreRecord = UNRECORDED,
) -> LossTable:
    """Count a loss of one image at every threshold level.

    Args:
        score: float tensor of shape ``[C, *spatial]`` in [0, 1].
        label: the truth on the same grid, see :py:func:`truth_masks` for its forms.
        loss: what is counted: a loss or its name.
        unit: name of the exchangeable unit the image belongs to (the patient).
        image: id of the image, unique among all images; None takes the unit's name (one image a unit).
        group: group of the unit (its scanner, say), for promises by group; None makes none.
        shift_weight: how much more often a unit like this is met in the population that is calibrated for; None
            where the calibration is for the population the images are from.
        weight: for ``"weighted_fnr"``, a map ``[1, *spatial]`` in [0, 1024].
        spacing: for a surface loss, the voxel size along each axis in mm, or a voxel; its angles are those of the
            score's affine, where it has one.
        label_mode: ``"index"``, ``"one_hot"`` or ``"regions"`` (overlapping; every channel is a structure).
        include_background: whether channel 0 is calibrated too; regions have no background.
        mask: ``[1, *spatial]``, not 0 where voxels count; None counts all. With a mask the promise is about the voxels
            inside it, and says so.
        unit_name: what a unit is, for people.
        provenance: how the score was made.

    Returns:
        a table of one image; join tables with :py:meth:`LossTable.join`.

    Raises:
        ValueError: when the score is a mask, logits, batched or not finite, label, mask, weight or spacing do not fit
            or are missing, or a custom loss is not one that can be calibrated.
        ImportError: when the loss needs a package that is missing.

    Source: arXiv 2208.02814, section 3.

    Example:
        >>> import torch
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> table = case_loss_table(score, torch.tensor([[[0, 1, 1]]]), loss="instance_fnr", unit="anna")
        >>> int(table.true(1)[0])
        1
    """
    maps = {"score": score, "label": label, "mask": mask, "weight map": weight}
    check_same_grid({what: (what, value) for what, value in maps.items()}, set())
    return count_case(
        score,
        label,
        CountingOptions(label_mode, include_background, masked=mask is not None),
        loss=loss_from(loss),
        unit=unit,
        image=image,
        group=group,
        shift_weight=shift_weight,
        weight=weight,
        spacing=spacing,
        mask=mask,
        unit_name=unit_name,
        provenance=provenance,
    )


def false_negative_rate_table(score: torch.Tensor, label: torch.Tensor, *, unit: str, **options: Any) -> LossTable:
    r"""Count, for one image, how many true voxels every threshold misses.

    .. math:: L(\lambda) = \frac{\#\{x \in Y : s(x) < 1 - \lambda\}}{\#Y}

    Args:
        score, label, unit, options: see :py:func:`case_loss_table`, which this is with the false negative rate.

    Returns:
        a table of one image; join tables with :py:meth:`LossTable.join`.

    Raises:
        ValueError: as :py:func:`case_loss_table`.

    Source: arXiv 2208.02814, section 3 (false negative rate in segmentation).

    Example:
        >>> import torch
        >>> score = torch.tensor([[[0.9, 0.4, 0.2]], [[0.1, 0.6, 0.8]]])
        >>> table = false_negative_rate_table(score, torch.tensor([[[0, 1, 1]]]), unit="anna")
        >>> int(table.true(1)[0]), int(table.missed(1)[0, -1])
        (2, 2)
    """
    return case_loss_table(score, label, loss=FalseNegativeRate(), unit=unit, **options)
