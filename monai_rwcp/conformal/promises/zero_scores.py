"""Truth where the score is exactly 0: no threshold above 0 reaches it, and somebody should look why it lies there."""

from __future__ import annotations

import warnings

from monai_rwcp.conformal.counting.loss_table import LossTable

__all__ = ["warn_of_zero_scores"]

# One voxel in a thousand may be an odd one; more are a crop, a mask or a shift.
_ONE_IN = 1000
_N_NAMED = 3


def warn_of_zero_scores(table: LossTable, class_index: int, name: str, whole_image: bool, stacklevel: int) -> None:
    """Warn where more than a thousandth of the true voxels of a class lie at exact zeros, or where these cost the set.

    Args:
        table: loss counts of the calibration units.
        class_index: the class.
        name: its name, for people.
        whole_image: whether its set is the whole image although there are units enough, so that truth at the lowest
            scores must be the reason.
        stacklevel: whose line the warning names, counted from here.

    Example:
        >>> import torch
        >>> from monai_rwcp.conformal import case_loss_table
        >>> score = torch.tensor([[[1.0, 0.4, 0.2]], [[0.0, 0.6, 0.8]]])
        >>> table = case_loss_table(score, torch.tensor([[[0, 1, 1]]]), loss="fnr", unit="anna")
        >>> warn_of_zero_scores(table, 1, "liver", whole_image=False, stacklevel=1)
    """
    known = {name: image.true_voxels[class_index] for name, image in table.images.items() if image.true_voxels}
    shown = {name: voxels for name, voxels in known.items() if voxels.all}
    at_zero, of_all = sum(v.at_zero for v in shown.values()), sum(v.all for v in shown.values())
    if not at_zero or (at_zero * _ONE_IN <= of_all and not whole_image):
        return
    worst = sorted((image for image in shown if shown[image].at_zero), key=lambda image: (-shown[image].at_zero, image))
    most = ", ".join(f"{image!r} ({shown[image].at_zero} of {shown[image].all})" for image in worst[:_N_NAMED])
    then = (
        f"Counted by {table.unit_name}, that is more than the promise allows to be missed, and nothing but the whole "
        "image holds a voxel whose score is 0. So the prediction set is the whole image, which keeps "
        "the promise but says nothing."
        if whole_image
        else "Sets miss them, unless they are the whole image."
    )
    warnings.warn(
        f"{at_zero} of the {of_all} true voxels of {name} ({100 * at_zero / of_all:.3g} %) lie where its score is "
        f"exactly 0, in {len(worst)} of {len(shown)} images that show it: {most}{', ...' if worst[_N_NAMED:] else ''}. "
        f"{then} Look at these images: is the field of view of the maps cut off (by a crop or a mask), is a label on "
        "another grid than its map, or are small scores rounded to 0 (8 bits, half precision)?",
        stacklevel=stacklevel + 1,
    )
