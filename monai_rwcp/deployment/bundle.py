"""Reading a MONAI bundle, or one config, as far as it makes scores; this runs what the config says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.handlers import CheckpointLoader, PostProcessing
from monai.inferers import SimpleInferer

from monai_rwcp.deployment.parts import DeployedParts, flat_transforms
from monai_rwcp.utils.json_documents import read_json
from monai_rwcp.utils.lazy_names import load_public_names

__all__ = ["bundle_files", "config_trouble", "load_parts", "read_bundle", "root_cause", "searched_for_code"]


def bundle_files(bundle: Path, configs: Sequence[str]) -> list[Path]:
    """The config files that make up a deployment, in the order in which later ones override.

    Args:
        bundle: the folder of a bundle, or a config file.
        configs: names of files in the bundle's folder ``configs`` (of a config file, of files beside it that are
            laid over it); none stands for its ``inference.json`` or ``inference.yaml``.

    Raises:
        FileNotFoundError: when one is not there; the message says which.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "configs").mkdir()
        >>> _ = (folder / "configs" / "inference.json").write_text("{}")
        >>> [path.name for path in bundle_files(folder, [])]
        ['inference.json']
    """
    if bundle.is_file():
        files = [bundle, *(bundle.parent / name for name in configs)]
    else:
        folder = bundle / "configs"
        usual = [folder / f"inference.{ending}" for ending in ("json", "yaml", "yml")]
        files = [folder / name for name in configs] or [path for path in usual if path.is_file()][:1]
        if not files:
            raise FileNotFoundError(
                f"Expected a bundle with '{usual[0]}' (or .yaml), but it is not there. Name the folder of a bundle, a "
                "config file, or the bundle's config by --config."
            )
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"There is no config file '{path}'. Name one that is there.")
    return files


def read_bundle(files: Sequence[Path], overrides: Mapping[str, Any], root: Path | None) -> ConfigParser:
    """Read config files, with the bundle's metadata where there are any; nothing is run yet.

    Args:
        files: config files; later ones override.
        overrides: values by their id in the config, such as ``dataset_dir`` or ``inferer::overlap``.
        root: folder of the bundle, for a config with an entry ``bundle_root``; None leaves that as it is.

    Raises:
        ValueError: when a file cannot be read, an id is not there, or there is no evaluator.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "inference.json"
        >>> _ = file.write_text('{"evaluator": {"_target_": "SupervisedEvaluator"}}')
        >>> read_bundle([file], {}, None)["evaluator"]
        {'_target_': 'SupervisedEvaluator'}
    """
    load_public_names()
    parser = ConfigParser()
    for path in (*files, files[0].parent / "metadata.json"):
        if path.suffix.lower() == ".json" and path.is_file():
            read_json(path, "config", "Write it")  # MONAI takes the last of two entries of one name
    with config_trouble(f"Cannot read the config {', '.join(map(str, files))}"):
        parser.read_config([str(path) for path in files])
        metadata = files[0].parent / "metadata.json"
        if metadata.is_file():
            parser.read_meta(str(metadata))
    if root is not None and "bundle_root" in parser:
        parser["bundle_root"] = str(root)
    for name, value in overrides.items():
        if name not in parser:
            raise ValueError(f"Expected an id of the config to override, but got '{name}', which is not in it.")
        parser[name] = value
    evaluator = parser.get("evaluator")
    if not isinstance(evaluator, dict) or "_target_" not in evaluator:
        raise ValueError(
            f"Expected an entry 'evaluator' with a '_target_', such as SupervisedEvaluator, in {files[0]}, but there "
            "is none. Name the config that the deployment runs."
        )
    with config_trouble("The config has an entry that refers to nothing"):
        parser.parse()
    return parser


def load_parts(parser: ConfigParser) -> DeployedParts:
    """Make the parts of the deployment and load the network's weights, as a run of the config would.

    Weights come from the expressions of ``initialize`` and from the evaluator's `CheckpointLoader` handlers. The
    evaluator is not run.

    Raises:
        ValueError: when a part cannot be made or the weights cannot be had; the message says which and why.
    """
    with config_trouble("The config's `initialize` cannot be run, so the weights cannot be had"):
        _initialize(parser)
    given = {
        name: _content(parser, f"evaluator::{name}")
        for name in ("network", "inferer", "postprocessing", "val_handlers")
    }
    handlers = tuple(handler for handler in given["val_handlers"] or () if handler is not None)
    for handler in handlers:
        if isinstance(handler, CheckpointLoader):
            with config_trouble(f"The weights cannot be had: CheckpointLoader of '{handler.load_path}'"):
                handler(Engine(lambda engine, batch: None))
    further = [handler.transform for handler in handlers if isinstance(handler, PostProcessing)]
    preprocessing = "dataset::transform" if "dataset::transform" in parser else "preprocessing"
    return DeployedParts(
        network=given["network"],
        inferer=given["inferer"] or SimpleInferer(),
        preprocessing=flat_transforms(_content(parser, preprocessing)),
        postprocessing=flat_transforms([given["postprocessing"], *further]),
        handlers=handlers,
    )


@contextmanager
def searched_for_code(folder: Path) -> Iterator[None]:
    """Let a config import modules of its bundle's folder, as MONAI does."""
    sys.path.insert(1, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def config_trouble(what: str) -> Iterator[None]:
    """Turn whatever a config's own code raises into a ValueError that names the deepest cause."""
    try:
        yield
    except Exception as error:
        # A config can run any code, so any error may come out of it.
        raise ValueError(f"{what}: {root_cause(error)}") from error


def root_cause(error: BaseException) -> str:
    """What an error began with, in its own words.

    Example:
        >>> root_cause(KeyError("label"))
        "KeyError: 'label'"
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


def _initialize(parser: ConfigParser) -> None:
    expressions = parser.get("initialize", [])
    ids = [f"initialize::{i}" for i in range(len(expressions))] if isinstance(expressions, list) else ["initialize"]
    for name in ids:
        parser.get_parsed_content(name)


def _content(parser: ConfigParser, name: str) -> Any:
    with config_trouble(f"The config's '{name}' cannot be made"):
        return parser.get_parsed_content(name) if name in parser else None
