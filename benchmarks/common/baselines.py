"""What the walk is measured against: scores that other methods would make of the same probability map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from scipy.ndimage import distance_transform_cdt

from monai_rwcp.walk import keep_peaks

__all__ = ["BilateralScore", "DilatedScore", "PeakKeptScore", "baseline_candidates"]


@dataclass(frozen=True)
class DilatedScore:
    r"""The score of dilation sets (arXiv 2503.05618): how many dilations of the predicted mask reach a voxel.

    .. math:: s_c(x) = 1 / (1 + d_c(x))

    for the number :math:`d_c(x)` of dilations of the mask of class c (the most probable one) until it holds x, so that
    a threshold is a number of dilations; beyond some 40 several share one. Where a class is predicted nowhere its score
    is 0: its set is empty at every threshold but 0.

    Args:
        neighbors: what one dilation adds: voxels that share a ``"face"``, or a ``"corner"``, too.
    """

    neighbors: Literal["face", "corner"]

    @property
    def name(self) -> str:
        """Name for tables."""
        return f"dilation by {self.neighbors}"

    def score(self, probabilities: torch.Tensor) -> torch.Tensor:
        """Make the score of a map ``[C, *spatial]``."""
        metric = "taxicab" if self.neighbors == "face" else "chessboard"
        predicted = probabilities.argmax(dim=0).numpy()
        scores = np.zeros(probabilities.shape, dtype=np.float32)
        for c in np.unique(predicted):
            scores[c] = 1 / (1 + distance_transform_cdt(predicted != c, metric=metric))
        return torch.from_numpy(scores)


@dataclass(frozen=True)
class BilateralScore:
    r"""Probabilities smoothed by a bilateral filter that the image guides, as the pairwise term of a dense CRF does.

    .. math:: s_c(x) \propto \sum_y p_c(y) \exp\left(-\frac{|x - y|^2}{2 \sigma_s^2} - \frac{(I_x - I_y)^2}
        {2 \sigma_i^2}\right)

    OpenCV's: y no further than 1.5 sigma_s away, and within the slice. MONAI's own (``CRF``, ``BilateralFilter``) needs
    the compiled ``monai._C``, which its packages do not bring.

    Args:
        sigma_space: in voxels, above 0.
        sigma_intensity: in units of the image, which is scaled to [0, 1], above 0.
    """

    sigma_space: float
    sigma_intensity: float

    @property
    def name(self) -> str:
        """Name for tables."""
        return f"bilateral {self.sigma_space:g} px, {self.sigma_intensity:g}"

    def score(self, probabilities: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Make the score of a map ``[C, *spatial]`` from an image ``[1, *spatial]``, volumes slice by slice."""
        maps, guide = probabilities.float().numpy(), image[0].float().numpy()
        low, high = float(guide.min()), float(guide.max())
        guide = np.ascontiguousarray((guide - low) / max(high - low, 1e-12), dtype=np.float32)
        if guide.ndim == 2:
            return torch.from_numpy(self._filter(maps, guide))
        slices = [self._filter(maps[..., z], np.ascontiguousarray(guide[..., z])) for z in range(guide.shape[-1])]
        return torch.from_numpy(np.stack(slices, axis=-1))

    def _filter(self, maps: np.ndarray, guide: np.ndarray) -> np.ndarray:
        smoothed = [
            cv2.ximgproc.jointBilateralFilter(
                guide, np.ascontiguousarray(m), -1, self.sigma_intensity, self.sigma_space
            )
            for m in maps
        ]
        return np.clip(np.stack(smoothed), 0, 1)


@dataclass(frozen=True)
class PeakKeptScore:
    """A bilateral filter's score with the walk's ``keep_peak``, to tell what of a gain is the walk's own.

    Args:
        base: what smooths the map.
    """

    base: BilateralScore

    @property
    def name(self) -> str:
        """Name for tables."""
        return f"{self.base.name}, keep_peak"

    def score(self, probabilities: torch.Tensor, smoothed: torch.Tensor) -> torch.Tensor:
        """Make the score of a map ``[C, *spatial]`` and what the base made of it."""
        return keep_peaks(smoothed, probabilities).clamp_(0, 1)


def baseline_candidates() -> list[DilatedScore | BilateralScore | PeakKeptScore]:
    """The settings among which a study tunes these baselines, on the same patients as the walk."""
    bilateral = [BilateralScore(space, intensity) for space in (1.0, 2.0, 4.0, 8.0) for intensity in (0.05, 0.1, 0.2)]
    return [DilatedScore("face"), DilatedScore("corner"), *bilateral, *map(PeakKeptScore, bilateral)]
