"""The command that draws what a source of features sees in an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.outputs import claim_new_file
from monai_rwcp.commands.telling import tell, told
from monai_rwcp.utils.files import check_writable

__all__ = ["features"]


def _pixel(_context: click.Context, _option: click.Parameter, value: str | None) -> list[int] | None:
    try:
        return None if value is None else [int(part) for part in value.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"Expected I,J, two whole numbers such as 107,127, but got {value!r}.") from error


@click.command()
@click.argument("image", type=options.FILE)
@click.option(
    "--extractor",
    required=True,
    help="mind, a .pt2 file of torch.export, a folder or hub id of a foundation network, or a .json file with an "
    "entry 'extractor'.",
)
@click.option("--out", type=options.NEW_FILE, required=True, help="The PNG.")
@click.option("--intensity", help="How the image becomes [0, 1]: none, percentiles or LOW,HIGH (such as HU).")
@options.trust
@click.option("--channel", type=int, help="Which channel of an image that has several, from 0.")
@click.option("--slice", "slice_index", type=int, help="Which slice of a volume, from 0; by default the middle one.")
@click.option("--axis", type=click.IntRange(0, 2), default=2, show_default=True, help="Axis of the slices.")
@click.option("--volume", is_flag=True, help="Compute the features of the whole volume, for 3D networks.")
@click.option("--point", callback=_pixel, help="I,J: a pixel, from 0, along the two axes shown; by default the middle.")
@click.option("--k", default=20, show_default=True, help="How many nearest neighbours of the point are marked.")
@click.option("--center", is_flag=True, help="Subtract the image's mean feature first, as recommended() does.")
def features(
    image: Path,
    extractor: str,
    out: Path,
    intensity: str | None,
    trust: bool,
    channel: int | None,
    slice_index: int | None,
    axis: int,
    volume: bool,
    point: list[int] | None,
    k: int,
    center: bool,
) -> None:
    """Draw what a source of features sees in an image.

    Colours stand for features, and what is alike to one point is marked.
    """
    with told():
        claim_new_file(out)
        check_writable(out)

        from monai_rwcp.commands.extractor import chosen_extractor
        from monai_rwcp.report.figures.feature_look import look_at_features

        look_at_features(
            image,
            chosen_extractor(extractor, intensity, trust=trust),
            out,
            channel=channel,
            slice_index=slice_index,
            axis=axis,
            volume=volume,
            point=point,
            k=k,
            center=center,
            read=_reader(image),
        )
    tell(f"{out}")


def _reader(image: Path) -> Any:
    """What reads DICOM as `dicom-seg` does; None where MONAI's readers do."""
    with image.open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            return None
    from monai_rwcp.dicom.series import read_slice

    return read_slice
