"""The items of an engine's last batch, whole."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine

__all__ = ["engine_items"]


def engine_items(engine: Engine) -> list[dict[str, Any]]:
    """Give the item dictionaries that an engine holds after post-processing.

    Args:
        engine: an evaluator with ``decollate=True``, or an ignite engine whose step returns a list of dictionaries.

    Returns:
        the items of ``engine.state.output``, completed by those of ``engine.state.batch`` where that is a list, too.

    Raises:
        ValueError: when the output is no list of dictionaries, such as an undivided batch.

    Example:
        >>> engine = Engine(lambda engine, batch: [{"pred": batch}])
        >>> _ = engine.run([1])
        >>> engine_items(engine)
        [{'pred': 1}]
    """
    output: Any = engine.state.output
    batch: Any = engine.state.batch
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise ValueError(
            f"Expected engine.state.output to be a list of item dictionaries, but got {type(output).__name__}, which "
            "looks like a batch. Use SupervisedEvaluator(decollate=True), or let the engine's step return a list."
        )
    if isinstance(batch, list) and len(batch) == len(output) and all(isinstance(item, dict) for item in batch):
        return [{**one, **other} for one, other in zip(batch, output, strict=True)]
    return output
