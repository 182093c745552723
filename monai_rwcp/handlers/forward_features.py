"""Keeping the activations of the very forward pass that made the prediction, as features of each item."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.data.utils import dense_patch_slices
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer, SlidingWindowInferer
from monai.utils import ensure_tuple_rep, fall_back_tuple

from monai_rwcp.features.layers import caught_layers, checked_layers, combined_maps, dense_maps
from monai_rwcp.provenance.score_maps import features_record, provenance_key
from monai_rwcp.provenance.weights import bare_network, weights_hash

__all__ = ["ForwardFeaturesHandler"]


class ForwardFeaturesHandler:
    """Store activations of the prediction's own forward pass as features, so that it is not paid for twice.

    Attached to an evaluator, it wraps its inferer: whole images (`SimpleInferer`), sliding windows and `SliceInferer`
    alike. When the forward pass is done it puts ``[B, F, *grid]`` into ``engine.state.output`` beside the prediction;
    decollation then gives each item its own, with ``<output key>_provenance``, and `RandomWalkDiffusiond` takes them
    where `DenseFeaturesd` would have put them. One layer is kept as it is; several are each L2-normalised, brought to
    the finest of their grids and concatenated, as by :py:class:`monai_rwcp.NetworkFeatures`.

    Args:
        layers: name or names as in ``network.named_modules()``.
        output_key: where the features go. Defaults to "features".

    Example:
        >>> import torch
        >>> from monai.engines import SupervisedEvaluator
        >>> from monai_rwcp import RandomWalkDiffusiond
        >>> network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 2, 2), torch.nn.ConvTranspose2d(4, 2, 2, 2))
        >>> evaluator = SupervisedEvaluator(
        ...     device=torch.device("cpu"),
        ...     val_data_loader=[{"image": torch.rand(3, 1, 8, 8), "label": torch.zeros(3, 1, 8, 8)}],
        ...     network=network,
        ... )
        >>> ForwardFeaturesHandler("0").attach(evaluator)
        >>> evaluator.run()
        >>> [tuple(item["features"].shape) for item in evaluator.state.output]
        [(4, 4, 4), (4, 4, 4), (4, 4, 4)]
    """

    def __init__(self, layers: str | Sequence[str], output_key: Hashable = "features") -> None:
        self.layers = layers
        self.output_key = output_key
        self._name = ""

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator.

        When it starts, a ValueError lists the nearest names if its network has no such layer.

        Raises:
            TypeError: when the engine is no MONAI evaluator.
        """
        if not isinstance(engine, Evaluator):
            raise TypeError(
                "ForwardFeaturesHandler needs an evaluator with a network and an inferer, such as SupervisedEvaluator, "
                f"but got {type(engine).__name__}."
            )
        if not engine.has_event_handler(self._start, Events.STARTED):
            # The evaluator attaches its handlers before it has its network, so the inferer is wrapped when it starts.
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._store)

    def _start(self, engine: Any) -> None:
        inferer = engine.inferer.inferer if isinstance(engine.inferer, _CatchingInferer) else engine.inferer
        if isinstance(engine.inferer, _CatchingInferer) and engine.inferer.owner is not self:
            raise ValueError("Expected one ForwardFeaturesHandler for an evaluator. Name all layers in one of them.")
        network, _ = bare_network(engine.network)
        layers = checked_layers(network, self.layers)
        engine.inferer = _CatchingInferer(inferer, network, layers, self)
        # An evaluator does not change its network, so the weights are hashed once a run.
        self._name = (
            f"ForwardFeatures({type(network).__name__}, {'+'.join(layers)}, {_described(inferer)}"
            f"{', amp' if engine.amp else ''}, {weights_hash(network)})"
        )

    def _store(self, engine: Any) -> None:
        features = engine.inferer.features
        engine.inferer.features = None
        engine.state.output[self.output_key] = features
        # As collation would have made it of one record for each item.
        engine.state.output[provenance_key(self.output_key)] = {
            name: [value] * features.shape[0] for name, value in features_record(self._name).items()
        }


class _CatchingInferer(Inferer):
    """Another inferer, which is given the network's layers as further outputs, so that it stitches them alike."""

    def __init__(
        self, inferer: Inferer, module: torch.nn.Module, layers: Sequence[str], owner: ForwardFeaturesHandler
    ) -> None:
        super().__init__()
        self.inferer = inferer
        self.module = module
        self.layers = layers
        self.owner = owner
        self.features: torch.Tensor | None = None

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with caught_layers(self.module, self.layers) as caught:

            def with_layers(batch: torch.Tensor, *rest: Any, **options: Any) -> tuple[torch.Tensor, ...]:
                prediction = network(batch, *rest, **options)
                if not isinstance(prediction, torch.Tensor):
                    raise ValueError(
                        "Expected the network to give one tensor in evaluation mode, but it gave "
                        f"{type(prediction).__name__}. Use DenseFeaturesd with NetworkFeatures instead."
                    )
                maps = dense_maps(caught, self.layers, batch)
                if isinstance(self.inferer, SlidingWindowInferer):
                    _check_windows(self.inferer, inputs.shape[2:], batch.shape[2:], maps)
                # The finest first: MONAI narrows its map of weights from one output to the next.
                return (prediction, *(maps[i] for i in _finest_first(maps)))

            result = self.inferer(inputs, with_layers, *args, **kwargs)
        if not isinstance(result, (tuple, list)) or len(result) != 1 + len(self.layers):
            raise ValueError(
                f"{type(self.inferer).__name__} did not hand on the network's layers (with buffer_steps it cannot). "
                "Use DenseFeaturesd with NetworkFeatures instead."
            )
        prediction, *maps = result
        if isinstance(prediction, MetaTensor) and isinstance(inputs, MetaTensor):
            # Of several outputs, MONAI's sliding windows forget that they are batches.
            prediction.copy_meta_from(inputs)
        self.features = combined_maps([m.as_subclass(torch.Tensor) for m in maps])
        return prediction


def _finest_first(maps: Sequence[torch.Tensor]) -> list[int]:
    return sorted(range(len(maps)), key=lambda i: -maps[i].shape[2:].numel())


def _check_windows(
    inferer: SlidingWindowInferer, image: torch.Size, window: torch.Size, maps: Sequence[torch.Tensor]
) -> None:
    """Refuse windows that begin within a cell of a layer: MONAI would move their features by part of a cell."""
    if len(window) != len(image):
        return  # SliceInferer gives slices to a network of images
    roi = fall_back_tuple(inferer.roi_size, image)
    overlap = ensure_tuple_rep(inferer.overlap, len(image))
    padding = [max(0, r - n) // 2 for r, n in zip(roi, image, strict=True)]
    padded = [max(r, n) for r, n in zip(roi, image, strict=True)]
    steps = [r if r == n else max(1, int(r * (1 - o))) for r, n, o in zip(roi, padded, overlap, strict=True)]
    starts = [[s.start for s in where] for where in dense_patch_slices(padded, roi, steps)]
    for m in maps:
        for axis, (size, cells) in enumerate(zip(window, m.shape[2:], strict=True)):
            edges = [image[axis], padding[axis], *(start[axis] for start in starts)]
            # MONAI multiplies with cells / size and cuts off.
            if any(edge * cells % size or int(edge * (cells / size)) != edge * cells // size for edge in edges):
                raise ValueError(
                    f"Expected windows that begin at whole cells, but with roi_size {roi} and overlap {overlap} on an "
                    f"image of {tuple(image)} some do not for a layer with cells of {size / cells:.3g} voxels. Choose "
                    "a roi_size and a step (roi_size times 1 - overlap) of whole cells and pad images to whole cells "
                    "(DivisiblePadd), or use DenseFeaturesd with NetworkFeatures(window=...)."
                )


def _described(inferer: Inferer) -> str:
    name = type(inferer).__name__
    if not isinstance(inferer, SlidingWindowInferer):
        return name
    return f"{name} roi_size={inferer.roi_size} overlap={inferer.overlap} mode={inferer.mode}"
