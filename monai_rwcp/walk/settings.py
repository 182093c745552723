"""The settings of a walk, and the two sets of them that have a name."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from monai_rwcp.utils.arguments import check_integer
from monai_rwcp.walk.grid import Grid, graph_grid_shape
from monai_rwcp.walk.last_steps import LastSteps

__all__ = ["Neighborhood", "WalkSettings", "paper", "recommended"]

Neighborhood = Literal["volume", "slice"] | tuple[Literal["slices"], int]
"""Where a node's neighbours may lie: anywhere, in its slice, or up to so many slices away."""


@dataclass(frozen=True)
class WalkSettings:
    """Everything that decides what a walk does, besides the image; unpacks with ``**`` like a dictionary.

    Args:
        k: number of neighbours of a node, at least 1.
        beta: sharpness of the transition weights, at least 0.
        n_steps: number of steps, at least 0.
        restart: probability in [0, 1) of returning to the start at each step.
        center: whether the image's mean feature is subtracted before normalisation.
        spatial_weight: weight of the position in the similarity, at least 0.
        grid: grid of graph nodes: ``"features"``, ``"map"`` or an integer stride of the map, one for all axes or a
            tuple with one for each, such as ``(4, 4, 1)`` for volumes of thick slices.
        neighborhood: where a node of a volume may have neighbours: ``"volume"`` (anywhere), ``"slice"`` (in its own
            slice of the graph grid) or ``("slices", w)`` (at most ``w`` of these slices away).
        slice_axis: spatial axis that the slices of a volume are stacked along, for ``neighborhood``; -1 is the last.
        keep_peak, keep_sure, size_exponent, size_reference: the last steps after the walk, see :py:class:`LastSteps`.

    Raises:
        ValueError: when a value is out of its range; the message names it.

    Example:
        >>> dict(**WalkSettings(n_steps=5))["n_steps"]
        5
    """

    k: int = 20
    beta: float = 50.0
    n_steps: int = 10
    restart: float = 0.0
    center: bool = False
    spatial_weight: float = 0.0
    grid: Grid = "features"
    neighborhood: Neighborhood = "volume"
    slice_axis: int = -1
    keep_peak: bool = False
    keep_sure: float | None = None
    size_exponent: float = 0.0
    size_reference: float = 1.0

    def __post_init__(self) -> None:
        check_integer("k", self.k, 1)
        check_integer("n_steps", self.n_steps, 0)
        _check_number("beta", self.beta, math.inf)
        _check_number("restart", self.restart, 1.0)
        _check_number("spatial_weight", self.spatial_weight, math.inf)
        if not isinstance(self.center, bool):
            raise ValueError(f"Expected `center` to be True or False, but got {self.center!r}.")
        _ = self.last_steps  # which refuses what is out of range
        for name in ("grid", "neighborhood"):
            if isinstance(getattr(self, name), list):
                # As JSON has it.
                object.__setattr__(self, name, tuple(getattr(self, name)))
        n_axes = len(self.grid) if isinstance(self.grid, tuple) else 1
        graph_grid_shape((1,) * n_axes, (1,) * n_axes, self.grid)
        _check_neighborhood(self.neighborhood)
        check_integer("slice_axis", self.slice_axis, -3)
        if self.slice_axis > 2:
            raise ValueError(
                "Expected `slice_axis` to be a spatial axis of a volume, -3 to 2 (-1 is the last), but got "
                f"{self.slice_axis!r}."
            )

    @property
    def slice_reach(self) -> int | None:
        """How many slices away a neighbour may lie; None for anywhere."""
        if self.neighborhood == "volume":
            return None
        return 0 if self.neighborhood == "slice" else self.neighborhood[1]

    @property
    def last_steps(self) -> LastSteps:
        """What is done after the walk."""
        return LastSteps(self.keep_peak, self.keep_sure, self.size_exponent, self.size_reference)

    def keys(self) -> list[str]:
        """Names of the settings: with ``[]``, what ``**settings`` needs."""
        return [field.name for field in fields(self)]

    def __getitem__(self, name: str) -> Any:
        value = asdict(self)[name]
        # The record of a score is compared with one that was read from JSON.
        return list(value) if isinstance(value, tuple) else value


def paper() -> WalkSettings:
    """The settings of the paper (arXiv 2601.18997): ``k=20, beta=50, n_steps=10``, nothing else.

    Example:
        >>> paper().beta
        50.0
    """
    return WalkSettings()


def recommended() -> WalkSettings:
    """Settings that held up better than the paper's on the ACDC patients they were chosen on.

    A shorter reach (restart and a spatial term), centred features and a grid of a quarter of the map's resolution.
    They are a starting point, not a held-out result: on other data choose on a split of its own.

    Example:
        >>> recommended().grid
        4
    """
    return WalkSettings(k=20, beta=20.0, n_steps=20, restart=0.2, center=True, spatial_weight=3.0, grid=4)


def _check_number(name: str, value: object, below: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < below:
        raise ValueError(f"Expected `{name}` to be a number in [0, {below}), but got {value!r}.")


def _check_neighborhood(value: object) -> None:
    if value in ("volume", "slice"):
        return
    reach = value[1] if isinstance(value, tuple) and len(value) == 2 and value[0] == "slices" else None
    if not isinstance(reach, int) or isinstance(reach, bool) or reach < 0:
        raise ValueError(
            'Expected `neighborhood` to be "volume", "slice" or ("slices", w) with an integer w of at least 0, but got '
            f"{value!r}."
        )
