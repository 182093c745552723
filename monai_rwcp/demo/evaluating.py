"""The demo's evaluator: the network, and the chain that makes two scores of its map, plain and tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose, CopyItemsd, Invertd

from monai_rwcp.demo.cohort import Cohort
from monai_rwcp.demo.training import FEATURE_LAYERS, image_preprocessing
from monai_rwcp.features.network import NetworkFeatures
from monai_rwcp.transforms.dense_features import DenseFeaturesd
from monai_rwcp.transforms.network_provenance import NetworkProvenanced
from monai_rwcp.transforms.tuned_score import TunedScored

__all__ = ["OnEveryBatch", "evaluate"]


def evaluate(
    network: torch.nn.Module,
    settings: Path,
    cases: Cohort,
    last: Sequence[Callable],
    handlers: Sequence[Any],
    title: str | None,
) -> None:
    """Run the evaluator over patients.

    Args:
        network: the trained network.
        settings: file of what tuning chose.
        cases: the patients.
        last: transforms at the end of the chain, after the scores "plain" and "tuned" are on the label's grid.
        handlers: of MONAI or of this package.
        title: of the progress bar; None shows none.
    """
    from tqdm import tqdm

    preprocessing = image_preprocessing()
    scores = ("plain", "tuned")
    chain = [
        Activationsd("pred", softmax=True),
        CopyItemsd("pred", times=2, names=scores),
        NetworkProvenanced(scores, network),
        DenseFeaturesd("image", NetworkFeatures(network, FEATURE_LAYERS)),
        TunedScored("tuned", settings),
        Invertd(scores, preprocessing, orig_keys="image", nearest_interp=False),
    ]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases, preprocessing), batch_size=1),
        network=network,
        postprocessing=Compose([*chain, *last]),
        val_handlers=list(handlers),
    )
    with tqdm(total=len(cases), desc=title, disable=title is None) as bar:
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: bar.update())
        evaluator.run()


class OnEveryBatch:
    """A MONAI handler that calls a function after every batch."""

    def __init__(self, function: Callable[[Engine], None]) -> None:
        self.function = function

    def attach(self, engine: Engine) -> None:
        """Attach to an engine."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.function)
