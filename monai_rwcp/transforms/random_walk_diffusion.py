"""Diffusing a probability map by a random walk over the image's features, as a MONAI transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, ensure_tuple_rep

from monai_rwcp.scores.walked import WalkedScore
from monai_rwcp.transforms.checks import output_keys_of
from monai_rwcp.transforms.scoring import add_score, made_score
from monai_rwcp.walk.grid import Grid
from monai_rwcp.walk.neighbor_search import Backend
from monai_rwcp.walk.settings import Neighborhood, WalkSettings

__all__ = ["RandomWalkDiffusion", "RandomWalkDiffusionD", "RandomWalkDiffusionDict", "RandomWalkDiffusiond"]


class RandomWalkDiffusion(Transform):
    r"""Diffuse a probability map over the nearest-neighbour graph of its image's features; draws no random numbers.

    .. math:: S_{t+1} = (1 - r) P S_t + r S_0

    See :py:func:`monai_rwcp.walk.diffuse_probabilities` for the method. The defaults are the paper's.

    Args:
        k, beta, n_steps, restart, center, spatial_weight: see :py:class:`monai_rwcp.walk.WalkSettings`.
        grid, neighborhood, slice_axis, keep_peak, keep_sure, size_exponent, size_reference: see there, too.
        backend: ``"auto"`` or ``"pyg"``, how neighbours are searched; both give the same result.
        progress: whether a progress bar is shown, for volumes and fine grids. Defaults to False.

    Raises:
        ValueError: when a setting is out of its range.

    Source: RW-CP, arXiv 2601.18997.

    Example:
        >>> import torch
        >>> walk = RandomWalkDiffusion(k=5, n_steps=2)
        >>> walk(torch.rand(3, 16, 16), torch.rand(8, 4, 4)).shape
        torch.Size([3, 16, 16])
    """

    backend = [TransformBackends.TORCH]

    def __init__(
        self,
        k: int = 20,
        beta: float = 50.0,
        n_steps: int = 10,
        restart: float = 0.0,
        center: bool = False,
        spatial_weight: float = 0.0,
        grid: Grid = "features",
        neighborhood: Neighborhood = "volume",
        slice_axis: int = -1,
        keep_peak: bool = False,
        keep_sure: float | None = None,
        size_exponent: float = 0.0,
        size_reference: float = 1.0,
        backend: Backend = "auto",
        progress: bool = False,
    ) -> None:
        where = (k, beta, n_steps, restart, center, spatial_weight, grid, neighborhood, slice_axis)
        self.score = WalkedScore(WalkSettings(*where, keep_peak, keep_sure, size_exponent, size_reference))
        if backend not in ("auto", "pyg"):
            raise ValueError(f'backend must be "auto" or "pyg" but is {backend!r}.')
        self.options = {"backend": backend, "progress": progress}

    def __repr__(self) -> str:
        return repr(self.score.walk).replace("WalkSettings", "RandomWalkDiffusion")

    def __call__(  # type: ignore[override]
        self, probabilities: NdarrayOrTensor, features: NdarrayOrTensor
    ) -> NdarrayOrTensor:
        """Walk one map.

        Args:
            probabilities: float ``[C, *spatial]`` in [0, 1], one item without a batch dimension, 2D or 3D.
            features: float ``[F, *grid]`` of the same image, no axis longer than the map's.

        Returns:
            the walked map: type, shape, dtype, device and meta data of ``probabilities``.

        Raises:
            ValueError: when values, shapes or fields of view do not fit; the message says what to do.
        """
        return made_score(self.score, probabilities, features, **self.options)


class RandomWalkDiffusiond(MapTransform):
    """Dictionary-based wrapper of :py:class:`RandomWalkDiffusion`.

    Beside each walked map it writes ``<output key>_provenance``, the record of how the map was made, which the
    calibration keeps and `ConformalThresholdd` compares.

    Example:
        >>> import torch
        >>> from monai_rwcp import recommended
        >>> walk = RandomWalkDiffusiond("pred", **recommended())
        >>> item = walk({"pred": torch.rand(2, 32, 32), "features": torch.rand(8, 16, 16)})
        >>> item["pred_provenance"]["steps"][0]["settings"]["restart"]
        0.2
    """

    backend = RandomWalkDiffusion.backend

    def __init__(
        self,
        keys: KeysCollection,
        feature_keys: KeysCollection = "features",
        backend: Backend = "auto",
        progress: bool = False,
        output_keys: KeysCollection | None = None,
        allow_missing_keys: bool = False,
        **walk: Any,
    ) -> None:
        """
        Args:
            keys: keys of the probability maps.
            feature_keys: keys of their features, one for all or one for each. Defaults to "features".
            backend, progress: see :py:class:`RandomWalkDiffusion`.
            output_keys: where the walked maps go; None replaces the maps.
            allow_missing_keys: whether missing keys are passed over.
            walk: settings of the walk by their names, see :py:class:`monai_rwcp.walk.WalkSettings`.

        Raises:
            ValueError: when a setting is out of its range, or the numbers of keys differ.
        """
        super().__init__(keys, allow_missing_keys)
        self.converter = RandomWalkDiffusion(**walk, backend=backend, progress=progress)
        self.feature_keys = ensure_tuple_rep(feature_keys, len(self.keys))
        self.output_keys = self.keys if output_keys is None else output_keys_of(self.keys, output_keys)

    def __repr__(self) -> str:
        return f"RandomWalkDiffusiond({self.keys}: {self.converter.score.name})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Walk the map under each key."""
        d = dict(data)
        for key, feature_key, output_key in self.key_iterator(d, self.feature_keys, self.output_keys):
            add_score(d, self.converter.score, (key, feature_key, output_key), **self.converter.options)
        return d


RandomWalkDiffusionD = RandomWalkDiffusionDict = RandomWalkDiffusiond
