"""Which structures of a class are small: the third of them that sets lose first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["smallest_third"]


def smallest_third(sizes: Sequence[float] | np.ndarray) -> np.ndarray:
    """Tell which structures are in the smallest third.

    A structure is one class in one image.

    Args:
        sizes: true size of each, in one unit; 0 where the image does not show the class.

    Returns:
        bool of the same length: the smallest third of the structures that are there, rounded up, and what is as
        large as the largest of them.

    Example:
        >>> smallest_third([5, 0, 9, 7]).tolist()
        [True, False, False, False]
    """
    values = np.asarray(sizes, dtype=np.float64)
    shown = np.sort(values[values > 0])
    if not shown.size:
        return np.zeros(values.shape, dtype=bool)
    return (values > 0) & (values <= shown[math.ceil(shown.size / 3) - 1])
