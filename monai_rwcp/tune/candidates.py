"""The ways of making a score that tuning chooses among, from the simplest to the most elaborate."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

from monai_rwcp.scores.blurred import BlurredScore
from monai_rwcp.scores.choice import Score
from monai_rwcp.scores.plain import PlainScore
from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.walk.grid import Grid, graph_grid_shape
from monai_rwcp.walk.settings import WalkSettings, paper, recommended

__all__ = ["default_candidates", "with_last_steps"]

_KEEP_SURE = (None, 2.0, 4.0, 8.0)
_SIZE_EXPONENTS = (0.0, 0.25)


def default_candidates(
    sources: Sequence[str] = ("features",),
    *,
    grid: Grid = 4,
    fine_grid: Grid | None = None,
    sigmas: Iterable[float] = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0),
) -> list[Score]:
    """Give the candidates that tuning tries unless it is told others: plain, 20 blurs, and 217 walks for each source.

    The walks are the paper's and the recommended settings and, on centred features, every combination of few and many
    neighbours, three sharpnesses, three lengths, with and without restart, position and kept peaks. On a fine grid, 54
    more: many neighbours and position, three sharpnesses, lengths and restarts, with and without kept peaks. Tuning
    tries the better of them with further last steps, see :py:func:`with_last_steps`.

    Args:
        sources: names of the features; none leaves the walks out.
        grid: the graph's grid, see :py:class:`monai_rwcp.walk.WalkSettings`; a quarter of the map's resolution by
            default, coarser than which a walk loses small structures.
        fine_grid: a finer one, such as 2, or ``(2, 2, 1)`` beside ``(4, 4, 1)``: a coarse grid wears down the sharp
            edges of a strong network's maps. A walk on it takes about ten times as long. None leaves it out.
        sigmas: standard deviations of the blurs, in voxels; each is tried with and without kept peaks.

    Raises:
        ValueError: when ``fine_grid`` is not finer than ``grid``.

    Example:
        >>> len(default_candidates()), len(default_candidates(fine_grid=2)), len(default_candidates(sources=()))
        (238, 292, 21)
    """
    product = itertools.product((5, 20, 50), (10.0, 20.0, 50.0), (5, 10, 20), (0.0, 0.2), (0.0, 3.0), (False, True))
    walks = [
        WalkSettings(k, beta, n_steps, restart, True, weight, grid, keep_peak=keep_peak)
        for k, beta, n_steps, restart, weight, keep_peak in product
    ]
    named = [WalkSettings(**{**paper(), "grid": grid}), WalkSettings(**{**recommended(), "grid": grid})]
    if fine_grid is not None:
        _check_finer(fine_grid, grid)
        fine = itertools.product((10.0, 20.0, 50.0), (5, 10, 20), (0.0, 0.2, 0.5), (False, True))
        walks += [
            WalkSettings(50, beta, n_steps, restart, True, 3.0, fine_grid, keep_peak=keep_peak)
            for beta, n_steps, restart, keep_peak in fine
        ]
    walks = list(dict.fromkeys([*named, *walks]))
    blurs = [BlurredScore(sigma, keep_peak) for keep_peak, sigma in itertools.product((False, True), tuple(sigmas))]
    simple: list[Score] = [PlainScore(), *blurs]
    return simple + [WalkedScore(walk, source) for source in sources for walk in walks]


def with_last_steps(score: Score) -> list[Score]:
    """Give a candidate with several last steps: each exponent of what is sure with and without a level by size.

    Example:
        >>> [way.name for way in with_last_steps(PlainScore())]
        ['plain', 'plain, size_exponent=0.25']
        >>> len(with_last_steps(BlurredScore(2.0, keep_peak=True)))
        8
    """
    if isinstance(score, PlainScore):
        return [replace(score, size_exponent=exponent) for exponent in _SIZE_EXPONENTS]
    steps = list(itertools.product(_KEEP_SURE, _SIZE_EXPONENTS))
    if isinstance(score, BlurredScore):
        return [replace(score, keep_sure=sure, size_exponent=exponent) for sure, exponent in steps]
    return [
        replace(score, walk=replace(score.walk, keep_sure=sure, size_exponent=exponent)) for sure, exponent in steps
    ]


def _check_finer(fine_grid: Grid, grid: Grid) -> None:
    """Compare what both make of a large map; the grid of features is not known here."""
    if "features" in (fine_grid, grid):
        return
    axes = max(len(of) if isinstance(of, tuple) else 1 for of in (fine_grid, grid))
    large = (2**20,) * axes
    fine, coarse = (graph_grid_shape(large, large, of) for of in (fine_grid, grid))
    if fine == coarse or any(f < c for f, c in zip(fine, coarse, strict=True)):
        raise ValueError(
            f"Expected `fine_grid` to be finer than grid={grid!r}, along no axis coarser, but got {fine_grid!r}."
        )
