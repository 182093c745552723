"""Diffusing a probability map by a random walk over the image's features, as a MONAI transform."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import TransformBackends, convert_data_type, convert_to_dst_type, ensure_tuple_rep

from monai_rwcp.provenance.score_maps import grid_side, map_spacing, provenance_key
from monai_rwcp.transforms.checks import check_field_of_view, check_item, output_keys_of
from monai_rwcp.walk.diffusion import diffuse_probabilities
from monai_rwcp.walk.grid import Grid
from monai_rwcp.walk.neighbor_search import Backend
from monai_rwcp.walk.settings import Neighborhood, WalkSettings

__all__ = ["RandomWalkDiffusion", "RandomWalkDiffusionD", "RandomWalkDiffusionDict", "RandomWalkDiffusiond"]


class RandomWalkDiffusion(Transform):
    r"""Diffuse a probability map over the nearest-neighbour graph of its image's features; draws no random numbers.

    .. math:: S_{t+1} = (1 - r) P S_t + r S_0

    See :py:func:`monai_rwcp.walk.diffuse_probabilities` for the method. The defaults are the paper's; see
    :py:func:`monai_rwcp.walk.recommended` for settings that suit strong networks too.

    Args:
        k: number of neighbours of a node. Defaults to 20.
        beta: sharpness of the transition weights. Defaults to 50.
        n_steps: number of steps. Defaults to 10.
        restart: probability of returning to the start at each step, in [0, 1). Defaults to 0.
        center: whether the image's mean feature is subtracted first. Defaults to False.
        spatial_weight: weight of the position in the similarity. Defaults to 0.
        grid: grid of graph nodes: ``"features"``, ``"map"`` or an integer stride of the map (or one for each axis).
            Defaults to the feature map's own grid.
        neighborhood: where a node of a volume may have neighbours: ``"volume"`` (anywhere), ``"slice"`` or
            ``("slices", w)`` (at most ``w`` slices of the graph grid away). Defaults to "volume".
        slice_axis: spatial axis that the slices of a volume are stacked along, for ``neighborhood``. Defaults to -1.
        keep_peak: whether each channel is scaled at the end so that its highest value is what it was before, which
            keeps small structures. Defaults to False.
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
        backend: Backend = "auto",
        progress: bool = False,
    ) -> None:
        self.settings = WalkSettings(
            k, beta, n_steps, restart, center, spatial_weight, grid, neighborhood, slice_axis, keep_peak
        )
        if backend not in ("auto", "pyg"):
            raise ValueError(f'backend must be "auto" or "pyg" but is {backend!r}.')
        self.search_backend: Backend = backend
        self.progress = progress

    def __repr__(self) -> str:
        return repr(self.settings).replace("WalkSettings", "RandomWalkDiffusion")

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
        check_item(probabilities)
        check_item(features)
        check_field_of_view(probabilities, features)
        maps, *_ = convert_data_type(probabilities, torch.Tensor)
        vectors, *_ = convert_data_type(features, torch.Tensor)
        walked = diffuse_probabilities(
            maps,
            vectors,
            self.settings,
            spacing=map_spacing(probabilities),
            backend=self.search_backend,
            progress=self.progress,
        )
        result, *_ = convert_to_dst_type(walked, probabilities, dtype=probabilities.dtype)
        return result


class RandomWalkDiffusiond(MapTransform):
    """Dictionary-based wrapper of :py:class:`RandomWalkDiffusion`.

    Beside each walked map it writes ``<output key>_provenance``, the record of how the map was made, which the
    calibration keeps and `ConformalThresholdd` compares.

    Example:
        >>> import torch
        >>> from monai_rwcp import recommended
        >>> walk = RandomWalkDiffusiond("pred", **recommended())
        >>> item = walk({"pred": torch.rand(2, 32, 32), "features": torch.rand(8, 16, 16)})
        >>> item["pred_provenance"]["walk"]["restart"]
        0.2
    """

    backend = RandomWalkDiffusion.backend

    def __init__(
        self,
        keys: KeysCollection,
        feature_keys: KeysCollection = "features",
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
        backend: Backend = "auto",
        progress: bool = False,
        output_keys: KeysCollection | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        """
        Args:
            keys: keys of the probability maps.
            feature_keys: keys of their features, one for all or one for each. Defaults to "features".
            k, beta, n_steps, restart, center, spatial_weight, grid, neighborhood, slice_axis, keep_peak, backend,
                progress: see :py:class:`RandomWalkDiffusion`.
            output_keys: where the walked maps go; None replaces the maps.
            allow_missing_keys: whether missing keys are passed over.

        Raises:
            ValueError: when a setting is out of its range, or the numbers of keys differ.
        """
        super().__init__(keys, allow_missing_keys)
        self.converter = RandomWalkDiffusion(
            k,
            beta,
            n_steps,
            restart,
            center,
            spatial_weight,
            grid,
            neighborhood,
            slice_axis,
            keep_peak,
            backend,
            progress,
        )
        self.feature_keys = ensure_tuple_rep(feature_keys, len(self.keys))
        self.output_keys = self.keys if output_keys is None else output_keys_of(self.keys, output_keys)

    def __repr__(self) -> str:
        return f"RandomWalkDiffusiond({self.keys}: {self.converter.settings})"

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Walk the map under each key."""
        d = dict(data)
        for key, feature_key, output_key in self.key_iterator(d, self.feature_keys, self.output_keys):
            if feature_key not in d:
                raise KeyError(
                    f"Expected the features of '{key}' under '{feature_key}', but there are only "
                    f"{sorted(str(name) for name in d)}. Put DenseFeaturesd(output_keys='{feature_key}') first."
                )
            try:
                walked = self.converter(d[key], d[feature_key])
            except ValueError as error:
                raise ValueError(f"Keys '{key}' and '{feature_key}': {error}") from error
            d[provenance_key(output_key)] = self.record(
                d.get(provenance_key(key), {}),
                d.get(provenance_key(feature_key), "unrecorded"),
                grid_side(d[key]),
                map_spacing(d[key]),
            )
            d[output_key] = walked
        return d

    def record(self, before: Mapping[str, Any], features: Any, side: Any, spacing: Any) -> dict[str, Any]:
        """Record of a map that has walked, from that of the map before and what is known of features and grid."""
        record = {"walked_before": before} if "walk" in before else dict(before)
        record |= {"features": features, "walk": {**self.converter.settings, "side": side}}
        return record if spacing is None else record | {"spacing": spacing}


RandomWalkDiffusionD = RandomWalkDiffusionDict = RandomWalkDiffusiond
