"""What the plots share: their colours, and a figure to draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

from monai_rwcp.utils.packages import needed

__all__ = ["INNER_COLOUR", "LIMIT_COLOUR", "MISSED_COLOUR", "SET_COLOUR", "TRUTH_COLOUR", "new_figure"]

# Told apart in black and white by their lines: the truth is solid, the set dashed, the inner set dotted.
TRUTH_COLOUR, SET_COLOUR, MISSED_COLOUR = (0.0, 0.85, 0.35), (1.0, 0.6, 0.0), (0.9, 0.1, 0.2)
INNER_COLOUR, LIMIT_COLOUR = (0.35, 0.75, 1.0), "#c0392b"


def new_figure(size: tuple[float, float]) -> Figure:
    """Make a figure that no global state of pyplot keeps.

    Args:
        size: width and height in inches.

    Raises:
        ImportError: when matplotlib is missing.
    """
    with needed("Drawing needs", "report", "matplotlib"):
        from matplotlib.figure import Figure as FreeFigure
    return FreeFigure(figsize=size, layout="constrained")
