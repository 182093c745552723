"""Several scores of one case, sharing what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.walk.diffusion import diffuse_variants

__all__ = ["make_together"]


@torch.no_grad()
def make_together(
    probabilities: torch.Tensor,
    scores: Sequence[Score],
    features: Mapping[str, torch.Tensor],
    *,
    spacing: Sequence[float] | None = None,
) -> Iterator[tuple[Score, torch.Tensor]]:
    """Make several scores of one map, each as its own ``make`` does; walks share their graphs and steps.

    Args:
        probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
        scores: the ways of making them; none twice.
        features: ``[F, *grid]`` of the same image by the names of their sources.
        spacing: voxel size along each axis in mm, for the walks' spatial term; None where it is not known.

    Yields:
        each way once and its score ``[C, *spatial]``, in an order of its own.

    Raises:
        KeyError: when the features of a walk are not there.
        ValueError: as :py:func:`monai_rwcp.walk.diffuse_probabilities`.

    Example:
        >>> from monai_rwcp.scores import BlurredScore, PlainScore
        >>> made = make_together(torch.rand(2, 8, 8), [PlainScore(), BlurredScore(1.0)], {})
        >>> [way.name for way, score in made]
        ['plain', 'blur 1']
    """
    walks: dict[str, list[WalkedScore]] = {}
    for way in scores:
        if isinstance(way, WalkedScore):
            walks.setdefault(way.source, []).append(way)
        else:
            yield way, way.make(probabilities, spacing=spacing)
    for source, of_source in walks.items():
        if source not in features:
            raise KeyError(f"Expected features named '{source}', which candidates walk by, but got {sorted(features)}.")
        by_settings = {way.walk: way for way in of_source}
        for settings, score in diffuse_variants(probabilities, features[source], list(by_settings), spacing=spacing):
            yield by_settings[settings], score
