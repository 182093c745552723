"""The record of a score that the deployment makes of one image, without its label."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from monai.bundle import ConfigComponent, ConfigParser
from monai.config import NdarrayOrTensor
from monai.transforms import Compose, SaveImaged

from monai_rwcp.deployment.bundle import config_trouble
from monai_rwcp.deployment.parts import DeployedParts
from monai_rwcp.handlers.forward_features import ForwardFeaturesHandler
from monai_rwcp.handlers.items import engine_items, item_record, item_value
from monai_rwcp.provenance.record import ScoreRecord
from monai_rwcp.transforms.conformal_sandwich import ConformalSandwichd
from monai_rwcp.transforms.conformal_threshold import ConformalThresholdd

__all__ = ["observed_score", "one_image"]

_REPLACED = {
    "additional_metrics",
    "epoch_length",
    "key_val_metric",
    "metric_cmp_fn",
    "postprocessing",
    "val_data_loader",
    "val_handlers",
}


def one_image(parser: ConfigParser, image: Path | None) -> str | None:
    """Leave one image in the config's ``dataset::data``: the one given, or the first that is there.

    It must come before the parts of the config are made.

    Args:
        parser: the config.
        image: a file; None takes the first item of the config's own data.

    Returns:
        None, or the reason why there is no image.

    Raises:
        ValueError: when an image is given, but the config has no ``dataset::data``.

    Example:
        >>> parser = ConfigParser({"dataset": {"data": []}})
        >>> one_image(parser, None), one_image(parser, Path("a.nii")), parser["dataset"]["data"]
        ('its list of images is empty', None, [{'image': 'a.nii'}])
    """
    if "dataset::data" not in parser:
        if image is not None:
            raise ValueError(
                "Expected the config to have 'dataset::data', the place of the image in a MONAI bundle, but it has "
                "none. Name the dataset 'dataset', or leave --image out."
            )
        return "the config has no 'dataset::data'"
    if image is not None:
        parser["dataset::data"] = [{"image": str(image)}]
        return None
    try:
        with config_trouble("its list of images cannot be read"):
            data = list(parser.get_parsed_content("dataset::data"))
    except ValueError as error:
        return str(error)
    if data:
        parser["dataset::data"] = data[:1]
    return None if data else "its list of images is empty"


def observed_score(parser: ConfigParser, parts: DeployedParts, key: Hashable) -> tuple[NdarrayOrTensor, ScoreRecord]:
    """Run the config's own evaluator over its one image, without its handlers, metrics and savers.

    Args:
        parser: the config, with one image in ``dataset::data``.
        parts: its parts, with the post-processing up to the threshold.
        key: key of the score.

    Returns:
        the score as the threshold would get it, and its record.

    Raises:
        ValueError: when the chain cannot be run on the image; the message says why.
    """
    # Sets need the entries and files of a real case, and a check writes nothing.
    left_out = (ConformalThresholdd, ConformalSandwichd, SaveImaged)
    with config_trouble("The deployment cannot be run on one image of its data"):
        names = [name for name in parser["evaluator"] if name not in _REPLACED | ConfigComponent.non_arg_keys]
        given = {name: parser.get_parsed_content(f"evaluator::{name}") for name in ["_target_", *names]}
        if given.get("decollate") is False:
            raise ValueError("a score has to be split from its batch. Give the evaluator decollate=True.")
        batch = next(iter(parser.get_parsed_content("evaluator::val_data_loader")))
        evaluator: Any = ConfigComponent(given, locator=parser.locator).instantiate(
            val_data_loader=[batch],
            postprocessing=Compose([t for t in parts.postprocessing if not isinstance(t, left_out)]),
            val_handlers=[handler for handler in parts.handlers if isinstance(handler, ForwardFeaturesHandler)],
        )
        evaluator.logger.disabled = True
        evaluator.run()
        item = engine_items(evaluator)[0]
        return item_value(item, str(key)), item_record(item, str(key))
