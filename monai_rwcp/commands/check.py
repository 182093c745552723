"""The command that checks a deployment against a calibration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.telling import tell, told
from monai_rwcp.utils.json_documents import parsed_json

__all__ = ["check"]


class _NotChecked(click.ClickException):
    exit_code = 2  # 1 says that something differs


@click.command()
@click.option("--calibration", type=options.FILE, required=True, help="What ConformalCalibrationHandler wrote.")
@click.option(
    "--bundle",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Folder of a MONAI bundle, or a config file.",
)
@click.option(
    "--config",
    "configs",
    multiple=True,
    help="File in the bundle's configs/ instead of inference.json (or .yaml); may be repeated, later ones override. "
    "With a config file as --bundle: a file beside it, laid over it.",
)
@click.option("--set", "overrides", multiple=True, help="ID=VALUE: override an entry of the config; may be repeated.")
@click.option(
    "--image", type=options.FILE, help="An image to run the deployment on; by default the first of its own data."
)
@click.option("--trust", is_flag=True, help="The config may run code: you trust whoever wrote it. Needed.")
def check(
    calibration: Path,
    bundle: Path,
    configs: tuple[str, ...],
    overrides: tuple[str, ...],
    image: Path | None,
    trust: bool,
) -> None:
    """Compare a deployment with its calibration, without labels.

    Weights, spacing, inferer, extractor and walk are compared. The config's evaluator is run on one image, without
    its handlers, metrics and savers, and the record of its score is compared with the calibration's. Without any
    image the record is read from the chain. Weights are loaded by the config's `initialize` and CheckpointLoader. A
    config of MONAI runs whatever code its author wrote into it, so --trust has to be given. The exit code is 0 when
    nothing differs, 1 when something does, and 2 when the check could not be made.
    """
    with told(as_error=_NotChecked):
        given = dict(_override(text) for text in overrides)
        if not trust:
            raise ValueError(
                f"To check a bundle is to run it: the config of '{bundle}' runs whatever code its author wrote into "
                "it. Give --trust if you trust its author."
            )

        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.deployment.check import check_bundle
        from monai_rwcp.deployment.text import check_text

        found = check_bundle(Calibration.load(calibration), bundle, configs, overrides=given, image=image)
    tell(check_text(found))
    if found.differs:
        raise SystemExit(1)


def _override(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"Expected --set ID=VALUE, such as inferer::overlap=0.5, but got '{text}'.")
    try:
        return name, parsed_json(value)
    except json.JSONDecodeError:
        return name, value
    except ValueError as error:
        raise ValueError(f"--set {text} {error}") from error
