"""What a source of dense features is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

__all__ = ["FeatureExtractor", "check_extractor"]


@runtime_checkable
class FeatureExtractor(Protocol):
    """Anything that turns one image into dense features, and can say what it is.

    A plain class with these two members will do; nothing needs to be inherited.

    Example:
        >>> import torch
        >>> class MeanOfFour:
        ...     name = "MeanOfFour"
        ...     def __call__(self, image: torch.Tensor) -> torch.Tensor:
        ...         return torch.nn.functional.avg_pool2d(image, 4)
        >>> isinstance(MeanOfFour(), FeatureExtractor)
        True
    """

    @property
    def name(self) -> str:
        """Class, layers, weights and what else tells this source from any other. It goes into the score's record."""
        ...

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the features of one image.

        Args:
            image: float tensor of shape ``[C, *spatial]``, 2D or 3D, without a batch dimension.

        Returns:
            float tensor of shape ``[F, *grid]``; the grid covers exactly the image's field of view, so that cell
            ``i`` of ``n`` along an axis is the ``i``-th of ``n`` equal parts of it.
        """
        ...


def check_extractor(extractor: object) -> None:
    """Refuse what is no source of features.

    Raises:
        TypeError: when it cannot be called or has no ``name``.
    """
    # Asking the class keeps a name that is costly to compute (a hash of weights) from being computed here.
    named = hasattr(type(extractor), "name") or "name" in getattr(extractor, "__dict__", {})
    if not callable(extractor) or not named:
        raise TypeError(
            f"extractor must be callable and have a `name`, such as NetworkFeatures, but is {type(extractor).__name__}."
        )
