"""All candidate scores of one case, sharing what they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from monai.networks.layers import gaussian_1d

from monai_rwcp.tune.candidates import BlurredScore, Candidate, WalkedScore
from monai_rwcp.utils.precision import full_precision
from monai_rwcp.walk.diffusion import diffuse_variants, keep_peaks

__all__ = ["blurred", "candidate_scores"]


@torch.no_grad()
def blurred(probabilities: torch.Tensor, sigma: float, keep_peak: bool = False) -> torch.Tensor:
    r"""Blur a map by a Gaussian, its borders held by the weight that lies inside the image.

    .. math:: b(x) = (G_\sigma * p)(x) \,/\, (G_\sigma * 1)(x)

    MONAI's kernel, cut off at four standard deviations.

    Args:
        probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
        sigma: standard deviation in voxels, above 0.
        keep_peak: whether each channel is scaled to keep its highest value.

    Returns:
        tensor of the same shape and dtype, in [0, 1].

    Example:
        >>> blurred(torch.ones(1, 4, 4), 2.0).allclose(torch.ones(1, 4, 4))
        True
    """
    dtype = torch.promote_types(probabilities.dtype, torch.float32)
    values = probabilities.to(dtype)
    with full_precision():
        for axis in range(1, values.ndim):
            weights = _blur_weights(values.shape[axis], sigma).to(values)
            # By a matrix: MONAI's filter takes gigabytes for a wide kernel in 3D.
            values = (values.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    if keep_peak:
        values = keep_peaks(values, probabilities)
    return values.clamp(0, 1).to(probabilities.dtype).contiguous()


def _blur_weights(n: int, sigma: float) -> torch.Tensor:
    """What each of n voxels in a row takes from each, ``[n, n]``, rows adding up to 1."""
    kernel = gaussian_1d(torch.tensor(sigma))
    tail = len(kernel) // 2
    offset = torch.arange(n)[:, None] - torch.arange(n)
    weights = torch.where(offset.abs() <= tail, kernel[offset.clamp(-tail, tail) + tail], 0)
    return weights / weights.sum(dim=1, keepdim=True)


def candidate_scores(
    probabilities: torch.Tensor,
    candidates: Sequence[Candidate],
    features: Mapping[str, torch.Tensor],
    *,
    spacing: Sequence[float] | None = None,
) -> Iterator[tuple[Candidate, torch.Tensor]]:
    """Make the score of one case in every candidate's way.

    Args:
        probabilities: float tensor of shape ``[C, *spatial]`` in [0, 1], 2D or 3D.
        candidates: how; none twice.
        features: ``[F, *grid]`` of the same image by the names of their sources.
        spacing: voxel size along each axis in mm, for the walks' spatial term; None where it is not known.

    Yields:
        each candidate once and its score ``[C, *spatial]``, in an order of its own.

    Raises:
        KeyError: when a candidate's features are not there.
        ValueError: as :py:func:`monai_rwcp.walk.diffuse_probabilities`.

    Example:
        >>> from monai_rwcp.tune import PlainScore
        >>> scores = candidate_scores(torch.rand(2, 8, 8), [PlainScore(), BlurredScore(1.0)], {})
        >>> [candidate.name for candidate, score in scores]
        ['plain', 'blur 1']
    """
    walks: dict[str, list[WalkedScore]] = {}
    for candidate in candidates:
        if isinstance(candidate, WalkedScore):
            walks.setdefault(candidate.source, []).append(candidate)
        elif isinstance(candidate, BlurredScore):
            yield candidate, blurred(probabilities, candidate.sigma, candidate.keep_peak)
        else:
            yield candidate, probabilities
    for source, of_source in walks.items():
        if source not in features:
            raise KeyError(f"Expected features named '{source}', which candidates walk by, but got {sorted(features)}.")
        by_settings = {candidate.walk: candidate for candidate in of_source}
        for settings, score in diffuse_variants(probabilities, features[source], list(by_settings), spacing=spacing):
            yield by_settings[settings], score
