"""Random splits of patients into those who tune, those who calibrate and those who test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Splitter:
    """Random splits of the patients: a fifth (at least 8) tunes, half of the rest calibrates, the others test.

    At least 25 calibrate where 40 are left, since fewer would leave next to nothing of the smallest promise.
    """

    units: tuple[str, ...]
    seed: int

    def split(self, number: int) -> tuple[list[str], list[str], list[str]]:
        """Tuning, calibration and test patients of one split."""
        order = np.random.default_rng((self.seed, number)).permutation(np.array(self.units)).tolist()
        n_tune = max(8, len(order) // 5)
        rest = len(order) - n_tune
        n_calibrate = max(-(-rest // 2), 25 if rest >= 40 else 0)
        return order[:n_tune], order[n_tune : n_tune + n_calibrate], order[n_tune + n_calibrate :]
