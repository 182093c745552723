"""Features kept on disk between runs of a benchmark."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch

from monai_rwcp import FeatureExtractor
from monai_rwcp.files import written_whole


class SavedFeatures:
    """Another extractor, whose features are kept in float16 under a hash of image and extractor."""

    def __init__(self, extractor: FeatureExtractor, folder: Path) -> None:
        self.extractor = extractor
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def name(self) -> str:
        return f"{self.extractor.name} in float16"

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        content = f"{self.name} {image.dtype} {tuple(image.shape)}".encode() + image.numpy().tobytes()
        path = self.folder / f"{hashlib.sha256(content).hexdigest()}.npy"
        if not path.exists():
            with written_whole(path) as temporary:
                np.save(temporary, self.extractor(image).numpy().astype(np.float16))
        return torch.from_numpy(np.load(path)).float()
