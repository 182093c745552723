"""The demo's table, and what it shows in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from monai_rwcp.demo.measuring import METHODS, STRUCTURES, Measured
from monai_rwcp.demo.phantoms import CLASS_NAMES
from monai_rwcp.metrics.prediction_set import SetMetrics
from monai_rwcp.metrics.summary import class_figures
from monai_rwcp.report.tables.markdown import aligned_table

__all__ = ["demo_table", "in_words"]

_HEADS = ("structure", "mask", "promised", "missed (s.e.)", "stretch", "Dice", "HD95 (mm)", "pieces", "empty")


def demo_table(measured: Measured, alpha: float) -> str:
    """Lay the figures out, three lines a structure: the network's own mask, the plain set and the tuned set.

    Args:
        measured: the figures of the test patients.
        alpha: what was promised of the sets.

    Returns:
        the table, as markdown, ending in a line break.
    """
    lines = []
    for c in STRUCTURES:
        for key, name in METHODS.items():
            images = measured[key][c]
            of = class_figures(images)
            lines.append(
                [
                    CLASS_NAMES[c],
                    name,
                    "nothing" if key == "mask" else f"{alpha:.3f}",
                    f"{of['fnr']:.3f} ({of['fnr_standard_error']:.3f})",
                    f"{of['stretch_mean']:.2f}",
                    f"{of['dice']:.3f}",
                    f"{of['hd95']:.1f}",
                    f"{of['components']:.1f}",
                    str(sum(not image.metrics.size for image in images)),
                ]
            )
    return aligned_table(_HEADS, lines)


def in_words(measured: Measured) -> str:
    """Say what the table shows: what the network's mask misses, and where the tuned sets are better and worse.

    A difference counts when its mean over the patients is more than twice its standard error.

    Args:
        measured: the figures of the test patients.

    Returns:
        six sentences, a line each.
    """
    missed = _listed([f"{class_figures(measured['mask'][c])['fnr']:.0%} of the {CLASS_NAMES[c]}" for c in STRUCTURES])
    sizes = _compared(measured, lambda m: m.stretch, ("smaller", "larger", "of about the same size"))
    pieces = _compared(measured, lambda m: m.components, ("fewer pieces", "more pieces", "about as many pieces"))
    borders = _compared(
        measured, lambda m: m.hausdorff_distance_95, ("nearer to the truth", "further from the truth", "about as near")
    )
    return (
        f"The network's own mask misses {missed}, and nothing is promised for it.\n"
        "CRC is conformal risk control, the method behind the promise; plain: of the network's own probabilities.\n"
        "Stretch is the size of the set over the size of the structure.\n"
        f"Beside plain CRC, at the same promise, the sets of the tuned score are {sizes}.\n"
        f"They come in {pieces}.\n"
        f"Their borders (HD95) lie {borders}."
    )


def _compared(measured: Measured, figure: Callable[[SetMetrics], float], words: tuple[str, str, str]) -> str:
    """Say for which structures a figure is less, for which it is more, and for which neither is clear."""
    found: dict[str, list[str]] = {word: [] for word in words}
    for c in STRUCTURES:
        pairs = zip(measured["plain_set"][c], measured["tuned_set"][c], strict=True)
        side = _side([figure(tuned.metrics) - figure(plain.metrics) for plain, tuned in pairs])
        found[words[side]].append(CLASS_NAMES[c])
    return ", ".join(f"{word} for {_listed(names)}" for word, names in found.items() if names)


def _side(differences: Sequence[float]) -> int:
    """0 where the mean is clearly below 0, 1 where it is clearly above, 2 where neither."""
    known = [difference for difference in differences if not math.isnan(difference)]
    if len(known) < 2:
        return 2
    mean, error = fmean(known), stdev(known) / math.sqrt(len(known))
    return 2 if abs(mean) <= 2 * error else 0 if mean < 0 else 1


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
