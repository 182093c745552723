"""Images with several small lesions, for the promise that counts lesions: drawn, not predicted by a network."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter


def lesion_patient(index: int) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Make one patient: image ``[96, 96]``, score ``[2, 96, 96]``, label ``[1, 96, 96]``; some lesions are faint."""
    random = np.random.default_rng([7, index])
    x, y = np.indices((96, 96))
    label, seen = np.zeros((96, 96), bool), np.zeros((96, 96))
    for _ in range(random.integers(4, 9)):
        place, radius = random.uniform(12, 84, 2), random.uniform(3, 8)
        lesion = np.hypot(x - place[0], y - place[1]) < radius
        label |= lesion
        seen[lesion] = random.uniform(0.35, 1.0)
    image = gaussian_filter(seen, 1.5) + 0.12 * random.standard_normal(label.shape)
    high = 1 / (1 + np.exp(-12 * (gaussian_filter(image, 1.5) - 0.45)))
    return image, torch.from_numpy(np.stack([1 - high, high])).float(), torch.from_numpy(label[None].astype(np.uint8))
