"""Computing the dense features of an image, as a MONAI transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type

from monai_rwcp.features.protocol import FeatureExtractor, check_extractor
from monai_rwcp.provenance.score_maps import features_record, provenance_key
from monai_rwcp.transforms.checks import check_item, output_keys_of

__all__ = ["DenseFeatures", "DenseFeaturesD", "DenseFeaturesDict", "DenseFeaturesd"]


class DenseFeatures(Transform):
    """Compute dense features of one image with any source of them.

    Args:
        extractor: a :py:class:`monai_rwcp.features.FeatureExtractor`.

    Raises:
        TypeError: when the extractor cannot be called or has no ``name``.

    Example:
        >>> import torch
        >>> from monai_rwcp import NetworkFeatures
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2, stride=2))
        >>> DenseFeatures(NetworkFeatures(network, "0"))(torch.rand(1, 8, 8)).shape
        torch.Size([4, 4, 4])
    """

    backend = [TransformBackends.TORCH]

    def __init__(self, extractor: FeatureExtractor) -> None:
        check_extractor(extractor)
        self.extractor = extractor

    @torch.no_grad()
    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Compute the features of one image.

        Args:
            image: ``[C, *spatial]``, one item without a batch dimension, 2D or 3D.

        Returns:
            float32 ``[F, *grid]`` in the type of ``image``. A MetaTensor gets the affine of the coarser grid over the
            same field of view, and no applied operations: features are not to be inverted.

        Raises:
            ValueError: when the image has a batch dimension or is not finite, or when the features are no finite map
                of its rank.
        """
        check_item(image)
        pixels, *_ = convert_data_type(image, torch.Tensor)
        if not torch.isfinite(pixels).all():
            raise ValueError(
                f"Expected a finite image, but in shape {tuple(image.shape)} some values are NaN or infinite. Replace "
                "them before the features are computed."
            )
        features = self.extractor(pixels.clone())
        if not isinstance(features, torch.Tensor) or features.ndim != image.ndim:
            got = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
            raise ValueError(f"Expected features [F, *grid] with {image.ndim - 1} spatial axes, but got {got}.")
        if not torch.isfinite(features).all():
            raise ValueError("Expected finite features, but some are NaN or infinite.")
        result, *_ = convert_to_dst_type(features, image, dtype=torch.float32)
        if isinstance(result, MetaTensor) and isinstance(image, MetaTensor):
            result.affine = _grid_affine(image.affine, image.shape[1:], features.shape[1:])
            result.applied_operations = []
        return result


class DenseFeaturesd(MapTransform):
    """Dictionary-based wrapper of :py:class:`DenseFeatures`.

    Beside the features it writes ``<output key>_provenance``, the name of the extractor.

    Example:
        >>> import torch
        >>> from monai_rwcp import NetworkFeatures
        >>> extractor = NetworkFeatures(torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2, stride=2)), "0")
        >>> sorted(DenseFeaturesd("image", extractor)({"image": torch.rand(1, 8, 8)}))
        ['features', 'features_provenance', 'image']
    """

    backend = DenseFeatures.backend

    def __init__(
        self,
        keys: KeysCollection = "image",
        extractor: FeatureExtractor | None = None,
        output_keys: KeysCollection = "features",
        allow_missing_keys: bool = False,
    ) -> None:
        """
        Args:
            keys: keys of the images. Defaults to "image".
            extractor: see :py:class:`DenseFeatures`; it must be given.
            output_keys: where the features go, one for each key. Defaults to "features".
            allow_missing_keys: whether missing keys are passed over.

        Raises:
            TypeError: when the extractor cannot be called or has no ``name``.
            ValueError: when the numbers of keys differ.
        """
        super().__init__(keys, allow_missing_keys)
        if extractor is None:
            raise TypeError("extractor must be given, such as NetworkFeatures, but is None.")
        self.converter = DenseFeatures(extractor)
        self.output_keys = output_keys_of(self.keys, output_keys)

    def __repr__(self) -> str:
        return f"DenseFeaturesd({self.keys}: {self.converter.extractor!r})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the features of each key."""
        d = dict(data)
        for key, output_key in self.key_iterator(d, self.output_keys):
            try:
                d[output_key] = self.converter(d[key])
            except (ValueError, RuntimeError) as error:
                # Torch says with a RuntimeError that a network does not fit the image.
                kind = ValueError if isinstance(error, ValueError) else RuntimeError
                raise kind(f"Key '{key}': {error}") from error
            d[provenance_key(output_key)] = features_record(self.converter.extractor.name)
        return d


DenseFeaturesD = DenseFeaturesDict = DenseFeaturesd


def _grid_affine(affine: torch.Tensor, image_shape: torch.Size, grid_shape: torch.Size) -> torch.Tensor:
    """Affine of a grid over the same field of view: its first cell centre lies half a cell from the same edge."""
    rank = affine.shape[-1] - 1
    to_image = torch.eye(rank + 1, dtype=affine.dtype)
    for axis, (size, cells) in enumerate(zip(image_shape, grid_shape, strict=True)):
        to_image[axis, axis] = size / cells
        to_image[axis, -1] = (size / cells - 1) / 2
    return affine @ to_image.to(affine.device)
