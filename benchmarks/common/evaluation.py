"""Running a network: alone, or in an evaluator with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose
from tqdm import tqdm

from monai_rwcp.handlers import engine_items


@torch.no_grad()
def probabilities_of(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Softmax ``[C, *spatial]`` of one image ``[1, *spatial]``."""
    return torch.softmax(network(image[None].as_subclass(torch.Tensor))[0], dim=0)


def run(
    network: torch.nn.Module, data: Dataset, chain: Compose, name: str, each: Sequence, batch_size: int = 8
) -> None:
    """Run the evaluator over a data set; `each` are handlers, or functions of an item."""
    loader = DataLoader(data, batch_size=batch_size)
    handlers = [handler for handler in each if hasattr(handler, "attach")]
    functions = [function for function in each if not hasattr(function, "attach")]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=loader,
        network=network,
        postprocessing=chain,
        val_handlers=handlers,
    )
    with tqdm(total=len(data), desc=name) as bar:

        def after_batch(engine: Engine) -> None:
            for item in engine_items(engine):
                for function in functions:
                    function(item)
                bar.update()

        evaluator.add_event_handler(Events.ITERATION_COMPLETED, after_batch)
        evaluator.run()
