"""The mean and the standard deviation that a vision network expects of its input."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_rwcp.utils.json_documents import parsed_json

__all__ = ["NORMALIZATIONS", "Normalization", "find_normalization"]


@dataclass(frozen=True)
class Normalization:
    """Input of a network: ``(x - mean) / std`` for each channel of an image ``x`` in [0, 1].

    Args:
        mean: one number for each channel.
        std: one positive number for each channel.
        source: where the numbers come from; it goes into the features' name.

    Raises:
        ValueError: when the numbers of channels differ, or a standard deviation is not positive.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise ValueError(
                "Expected `normalization` to hold a mean and a positive standard deviation for each channel, but got "
                f"mean {self.mean} and standard deviation {self.std}."
            )


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

# DINOv2 and the DINOv3 networks trained on web images (LVD-1689M) share ImageNet's numbers; those trained on satellite
# images (SAT-493M) have their own. Source: the README files of facebookresearch/dinov2 and facebookresearch/dinov3.
NORMALIZATIONS: Mapping[str, Normalization] = {
    "imagenet": Normalization(*_IMAGENET, "imagenet"),
    "lvd1689m": Normalization(*_IMAGENET, "lvd1689m"),
    "sat493m": Normalization((0.430, 0.411, 0.296), (0.213, 0.156, 0.143), "sat493m"),
    "none": Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "none"),
}


def find_normalization(normalization: str | Sequence[Sequence[float]] | None, name_or_path: str) -> Normalization:
    """The normalisation that a user or, when none is given, the network's own ``preprocessor_config.json`` asks for.

    Args:
        normalization: a name of `NORMALIZATIONS`, a pair ``(mean, std)``, or None.
        name_or_path: folder or hub id of the network.

    Returns:
        the normalisation. Without any information it is ImageNet's, with a warning, and its ``source`` says so.

    Raises:
        ValueError: when the name is not known, or the network's file is damaged.
    """
    if isinstance(normalization, str):
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"Expected `normalization` to be one of {sorted(NORMALIZATIONS)}, a pair (mean, std) or None, but got "
                f"{normalization!r}."
            )
        return NORMALIZATIONS[normalization]
    if normalization is not None:
        if len(normalization) != 2:
            raise ValueError(f"Expected `normalization` to be a pair (mean, std), but got {normalization!r}.")
        mean, std = (tuple(float(value) for value in part) for part in normalization)
        return Normalization(mean, std, "given")
    path = _preprocessor_path(name_or_path)
    if path is not None:
        return _of_preprocessor(path)
    warnings.warn(
        f"'{name_or_path}' has no preprocessor_config.json, so ImageNet's mean and standard deviation are used. Give "
        'normalization="imagenet" if they are right (DINOv2 and most DINOv3 networks), "sat493m" for the DINOv3 '
        "networks trained on satellite images, or a pair (mean, std).",
        stacklevel=4,
    )
    return Normalization(*_IMAGENET, "imagenet, for want of a preprocessor_config.json")


def _preprocessor_path(name_or_path: str) -> Path | None:
    if Path(name_or_path).is_dir():
        path = Path(name_or_path) / "preprocessor_config.json"
        return path if path.is_file() else None
    from transformers.utils import cached_file

    try:
        found = cached_file(name_or_path, "preprocessor_config.json")
    except OSError:
        return None
    return None if found is None else Path(found)


def _of_preprocessor(path: Path) -> Normalization:
    try:
        content: dict[str, Any] = parsed_json(path.read_text(encoding="utf-8"))
        mean, std = [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]
        if content.get("do_normalize", True):
            mean, std = [float(v) for v in content["image_mean"]], [float(v) for v in content["image_std"]]
        # The file starts from the 0 to 255 of 8-bit images and may shift them by 1; ours are in [0, 1] already.
        factor = 255 * float(content["rescale_factor"]) if "rescale_factor" in content else 1.0
        if not content.get("do_rescale", True):
            factor = 255.0
        shift = 1.0 if content.get("rescale_offset", False) else 0.0
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"Expected '{path}' to hold image_mean and image_std for each channel, but it does not: {error!r}. Give "
            "normalization= yourself."
        ) from error
    if abs(factor - 1) < 1e-6:
        factor = 1.0
    return Normalization(
        tuple((m + shift) / factor for m in mean), tuple(s / factor for s in std), "preprocessor_config.json"
    )
