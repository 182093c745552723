"""The ways of making a score that tuning chooses among, from the simplest to the most elaborate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from monai_rwcp.walk.grid import Grid, graph_grid_shape
from monai_rwcp.walk.settings import WalkSettings, paper, recommended

__all__ = ["BlurredScore", "Candidate", "PlainScore", "WalkedScore", "candidate_from", "default_candidates"]


@dataclass(frozen=True)
class PlainScore:
    """The network's probabilities as they are.

    Example:
        >>> PlainScore().name
        'plain'
    """

    kind: ClassVar[str] = "plain"

    @property
    def name(self) -> str:
        """Name for tables."""
        return self.kind

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {}


@dataclass(frozen=True)
class BlurredScore:
    """Probabilities blurred by a Gaussian.

    Args:
        sigma: its standard deviation in voxels of the map, the same along each axis; above 0.
        keep_peak: whether each channel is scaled to keep its highest value, as
            :py:func:`monai_rwcp.walk.keep_peaks` does.

    Raises:
        ValueError: when ``sigma`` is not a finite number above 0, or ``keep_peak`` not a bool.

    Example:
        >>> BlurredScore(2.0).name
        'blur 2'
    """

    sigma: float
    keep_peak: bool = False
    kind: ClassVar[str] = "blur"

    def __post_init__(self) -> None:
        fits = isinstance(self.sigma, (int, float)) and not isinstance(self.sigma, bool)
        if not fits or not 0 < self.sigma < math.inf:
            raise ValueError(f"Expected `sigma` to be a number of voxels above 0, but got {self.sigma!r}.")
        if not isinstance(self.keep_peak, bool):
            raise ValueError(f"Expected `keep_peak` to be True or False, but got {self.keep_peak!r}.")

    @property
    def name(self) -> str:
        """Name for tables."""
        return f"blur {self.sigma:g}" + (", keep_peak" if self.keep_peak else "")

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {"sigma": self.sigma, "keep_peak": self.keep_peak}


@dataclass(frozen=True)
class WalkedScore:
    """Probabilities after a random walk.

    Args:
        walk: settings of the walk.
        source: name of the features it goes by.

    Example:
        >>> WalkedScore(recommended()).name
        'walk k=20 beta=20 n_steps=20 restart=0.2 centred spatial_weight=3 grid=4'
    """

    walk: WalkSettings = field(default_factory=WalkSettings)
    source: str = "features"
    kind: ClassVar[str] = "walk"

    @property
    def name(self) -> str:
        """Name for tables: what differs from no restart, no centring and so on."""
        w = self.walk
        parts = [f"walk k={w.k} beta={w.beta:g} n_steps={w.n_steps} restart={w.restart:g}"]
        parts += ["centred"] if w.center else []
        parts += [f"spatial_weight={w.spatial_weight:g}"] if w.spatial_weight else []
        parts += [f"grid={w.grid}"] if w.grid != "features" else []
        parts += [f"neighborhood={w.neighborhood}"] if w.neighborhood != "volume" else []
        parts += ["keep_peak"] if w.keep_peak else []
        parts += [f"on {self.source}"] if self.source != "features" else []
        return " ".join(parts)

    @property
    def settings(self) -> dict[str, Any]:
        """What a file keeps of it."""
        return {**self.walk, "source": self.source}


Candidate = PlainScore | BlurredScore | WalkedScore


def candidate_from(kind: str, settings: dict[str, Any]) -> Candidate:
    """Make a candidate of what a file kept of it.

    Raises:
        ValueError: when there is no such kind, or a setting is out of its range.
        TypeError: when a setting is missing or unknown.

    Example:
        >>> candidate_from("blur", {"sigma": 2.0})
        BlurredScore(sigma=2.0, keep_peak=False)
    """
    if kind == WalkedScore.kind:
        walk = dict(settings)
        source = walk.pop("source", "features")
        return WalkedScore(WalkSettings(**walk), source)
    for simple in (PlainScore, BlurredScore):
        if kind == simple.kind:
            made: Candidate = simple(**settings)
            return made
    raise ValueError(f'Expected "plain", "blur" or "walk", but got {kind!r}.')


def default_candidates(
    sources: Sequence[str] = ("features",),
    *,
    grid: Grid = 4,
    fine_grid: Grid | None = None,
    sigmas: Iterable[float] = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0),
) -> list[Candidate]:
    """Give the candidates that tuning tries unless it is told others: plain, 20 blurs, and 217 walks for each source.

    The walks are the paper's and the recommended settings and, on centred features, every combination of few and many
    neighbours, three sharpnesses, three lengths, with and without restart, position and kept peaks. On a fine grid, 54
    more: many neighbours and position, three sharpnesses, lengths and restarts, with and without kept peaks.

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
    simple: list[Candidate] = [PlainScore(), *blurs]
    return simple + [WalkedScore(walk, source) for source in sources for walk in walks]


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
