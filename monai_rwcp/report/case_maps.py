"""The maps of one case: measured, and turned into pictures of its slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from monai.data import MetaTensor
from monai.transforms import Orientation, ResampleToMatch

from monai_rwcp.conformal.counting.labels import LabelMode, truth_masks
from monai_rwcp.metrics.prediction_set import SetMetrics, prediction_set_metrics
from monai_rwcp.provenance.score_maps import map_spacing
from monai_rwcp.report.figures.slices import slice_pictures
from monai_rwcp.utils.lengths import affine_in_mm, voxel_of
from monai_rwcp.utils.same_grid import lie_alike
from monai_rwcp.utils.tensors import item_tensor

__all__ = ["CaseMaps", "ReportCase", "ShownCase", "measured", "shown"]


@dataclass(frozen=True)
class CaseMaps:
    """What a report is made of, for one case.

    Args:
        name: of the case.
        unit: the patient.
        found: its prediction set, zeros and ones ``[C, *spatial]``; a `MetaTensor` knows its voxel size.
        label: the truth, in the form of ``label_mode``.
        label_mode: see :py:func:`monai_rwcp.conformal.truth_masks`.
        inner: its inner set, inside ``found``; None for none.
        image: gives the image ``[channels, *spatial]``, of which the first channel is shown; called when the case is
            among the worst only. One on another grid, such as that before `Invertd`, is brought to the set's by the
            affines of both. None for none.
        stratum: group to look at by itself; None for none.
        sizes: by class the size of the set at each of :py:func:`monai_rwcp.conformal.curve_thresholds`; None when it
            is not known.
    """

    name: str
    unit: str
    found: torch.Tensor
    label: torch.Tensor
    label_mode: LabelMode = "index"
    inner: torch.Tensor | None = None
    image: Callable[[], torch.Tensor] | None = None
    stratum: str | None = None
    sizes: Mapping[int, Sequence[int]] | None = None


@dataclass(frozen=True)
class ReportCase:
    """The figures of one case.

    Args:
        name, unit, stratum, sizes: see :py:class:`CaseMaps`.
        in_mm: whether distances are in mm, or else in voxels.
        figures: of the set of each class.
    """

    name: str
    unit: str
    in_mm: bool
    figures: Mapping[int, SetMetrics]
    stratum: str | None = None
    sizes: Mapping[int, Sequence[int]] | None = None


@dataclass(frozen=True)
class ShownCase:
    """Slices of one class of a case.

    Args:
        name: of the case.
        class_index: the class.
        missed: share of the truth that the set misses.
        slices: number and PNG of each.
        start: which of them is shown first: that where most is missed.
        has_inner: whether they show an inner set.
    """

    name: str
    class_index: int
    missed: float
    slices: Sequence[tuple[int, bytes]]
    start: int
    has_inner: bool


def measured(case: CaseMaps, classes: Sequence[int]) -> ReportCase:
    """Measure the sets of a case.

    Args:
        case: its maps.
        classes: channel numbers of the calibrated classes.

    Raises:
        ValueError: when a map does not fit the others, or the inner set is not inside the outer one.
        ImportError: when scipy is missing.
    """
    found, voxel = item_tensor(case.found), voxel_of(case.found)
    if case.inner is not None:
        _check_inside(item_tensor(case.inner).to(found.device), found, classes)
    return ReportCase(
        case.name,
        case.unit,
        voxel is not None,
        {c: prediction_set_metrics(found[c], truth, spacing=voxel) for c, truth in _truths(case, classes).items()},
        case.stratum,
        case.sizes,
    )


def shown(case: CaseMaps, class_index: int, missed: float) -> ShownCase:
    """Draw the slices of one class of a case.

    Volumes with an affine are turned so that their right side is on the left of the picture and the front is up, as
    radiologists look at them.

    Args:
        case: its maps, of which truth or set hold the class somewhere.
        class_index: which class.
        missed: share of the truth that the set misses.

    Raises:
        ValueError: when the image lies on another grid and has no affine to tell where.
        ImportError: when matplotlib is missing.
    """
    maps = [_truths(case, [class_index])[class_index]]
    maps += [item_tensor(sets)[class_index] for sets in (case.found, case.inner) if sets is not None]
    lying = [_turned(values[None], case.found)[0].numpy() > 0.5 for values in maps]
    image = None if case.image is None else _turned(_on_grid_of(case, case.image())[:1], case.found)
    spacing = map_spacing(_turned(case.found[:1], case.found)) or [1.0] * (case.found.ndim - 1)
    truth, claimed, *inner = lying
    slices = slice_pictures(None if image is None else image[0].numpy(), truth, claimed, tuple(spacing), *inner)
    lost = (truth & ~claimed).reshape(*truth.shape[:2], -1).sum(axis=(0, 1))
    start = max(range(len(slices)), key=lambda i: lost[slices[i][0]])
    return ShownCase(case.name, class_index, missed, slices, start, case.inner is not None)


def _check_inside(inner: torch.Tensor, found: torch.Tensor, classes: Sequence[int]) -> None:
    if inner.shape != found.shape:
        raise ValueError(
            f"Expected an inner set of the set's shape {tuple(found.shape)}, but got {tuple(inner.shape)}. Take both "
            "from one ConformalSandwich."
        )
    for c in classes:
        beyond = int(((inner[c] != 0) & (found[c] == 0)).sum())
        if beyond:
            raise ValueError(
                f"Expected the inner set inside the set, but {beyond} voxels of class {c} are not. Take both from one "
                "ConformalSandwich."
            )


def _truths(case: CaseMaps, classes: Sequence[int]) -> dict[int, torch.Tensor]:
    found = item_tensor(case.found)
    return dict(truth_masks(item_tensor(case.label).to(found.device), found, tuple(classes), case.label_mode, None))


def _on_grid_of(case: CaseMaps, image: torch.Tensor) -> torch.Tensor:
    found = case.found
    if isinstance(image, MetaTensor) and isinstance(found, MetaTensor):
        here, there = (affine_in_mm(value) for value in (found, image))
        same = image.shape[1:] == found.shape[1:] and lie_alike(here, there, found.shape[1:])
        if same:
            return image
        moved, kept = (
            MetaTensor(item_tensor(value).cpu().float(), affine=torch.from_numpy(affine))
            for value, affine in ((image, there), (found, here))
        )
        return ResampleToMatch()(moved, kept)
    if image.shape[1:] != found.shape[1:]:
        raise ValueError(
            f"Expected the image on the grid of the set, {tuple(found.shape[1:])}, but its shape is "
            f"{tuple(image.shape)}, and without an affine nobody knows where it lies. Load images as MetaTensor."
        )
    return image


def _turned(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    plain = item_tensor(values).cpu().float()
    if not isinstance(like, MetaTensor):
        return plain
    lying = MetaTensor(plain, affine=like.affine.cpu())
    return lying if plain.ndim == 3 else Orientation(axcodes="LAS", labels=None)(lying)
