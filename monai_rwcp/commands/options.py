"""Options that several commands share, and the types of what is given to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from monai_rwcp.folders.forms import MapForm

__all__ = ["FILE", "FOLDER", "NEW_FILE", "NEW_FOLDER", "form", "labels", "maps", "trust", "units"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)

AnyCommand = Callable[..., Any]
Decorator = Callable[[AnyCommand], AnyCommand]


def form(**settings: Any) -> Decorator:
    """Add ``--form``; the settings are those of `click.option`."""
    return click.option(
        "--form",
        type=click.Choice(get_args(MapForm)),
        help="What the maps are: [x, y, z, C] (channels-last), [C, x, y, z] (channels-first) or one structure's "
        "[x, y, z] (one-class) in NIfTI, NRRD or MHA; or the .npz of nnU-Net v2's --save_probabilities, with its "
        "segmentation beside it.",
        **settings,
    )


trust = click.option(
    "--trust", is_flag=True, help="Load the extractor's file even if it can run code: you trust whoever made it."
)


def maps(command: AnyCommand) -> AnyCommand:
    """Add the folder of maps, its form, and how their score is made."""
    given = (
        click.argument("maps", type=FOLDER),
        form(required=True),
        click.option(
            "--score",
            default="plain",
            show_default=True,
            help="How scores are made of the maps: plain (as they are), paper or recommended (walks, which need "
            "--images and --extractor), or the settings.json of `tune`.",
        ),
        click.option("--images", type=FOLDER, help="Folder of the images, for a score that walks."),
        click.option("--extractor", help="Source of features, for a score that walks: see `features --help`."),
        click.option("--intensity", help="How images become [0, 1], for the extractor: see `features --help`."),
        click.option(
            "--network",
            help="Checkpoint, or a name, of the network that made the maps. Give `calibrate` and `predict` the same: "
            "another is refused.",
        ),
        trust,
        click.option("--dry-run", is_flag=True, help="Only tell which files belong together; write nothing."),
    )
    for option in reversed(given):
        command = option(command)
    return command


def labels(called_as: str) -> Decorator:
    """Add ``--labels``, whose files are called as those of the folder that is measured."""
    return click.option(
        "--labels",
        type=FOLDER,
        required=True,
        help=f"Folder of the labels: NIfTI, NRRD or MHA, with the names of the {called_as}.",
    )


units = click.option(
    "--units",
    type=FILE,
    help="CSV file with the columns case,unit: which patient each case is of. Without it every case counts by itself.",
)
