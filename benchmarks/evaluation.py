"""What the studies share: running an evaluator with a progress bar, and the means over classes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose
from tqdm import tqdm

from monai_rwcp.handlers import engine_items
from monai_rwcp.report import Row


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


def over_classes(rows: Sequence[Row]) -> str:
    """Dice, distances and stretch of each method, averaged over the classes, and their change against plain CRC."""
    fields = ("dice", "average_surface_distance", "hausdorff_distance_95", "stretch")
    means = {
        method: [fmean(getattr(row, f) for row in rows if row.method == method) for f in fields]
        for method in dict.fromkeys(row.method for row in rows)
    }
    plain = means["plain CRC"]
    lines = ["mean over classes: Dice, ASSD, HD95, stretch (change against plain CRC)"]
    for method, values in means.items():
        parts = [f"{v:.3f} ({100 * (v / p - 1):+.0f} %)" for v, p in zip(values, plain, strict=True)]
        lines.append(f"  {method:44s} " + "   ".join(parts))
    return "\n".join(lines)
