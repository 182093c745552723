"""The command that makes a DICOM segmentation object of prediction sets."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["dicom_seg"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("sets", type=_FILE)
@click.option(
    "--series",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of the DICOM images that the sets were made of; the object refers to them.",
)
@click.option("--calibration", type=_FILE, required=True, help="What the sets were made with.")
@click.option("--anatomy", multiple=True, required=True, help="CHANNEL=VALUE,SCHEME,MEANING; for every class.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The DICOM file.")
def dicom_seg(sets: Path, series: Path, calibration: Path, anatomy: tuple[str, ...], out: Path) -> None:
    """Write the prediction sets in SETS, NIfTI [x, y, z, C], as a DICOM segmentation object."""
    try:
        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.dicom.nifti_sets import parsed_anatomy, write_nifti_sets
        from monai_rwcp.dicom.series import read_series

        if out.exists():
            raise FileExistsError(f"'{out}' exists. Name a new file.")
        codes = dict(parsed_anatomy(text) for text in anatomy)
        write_nifti_sets(sets, read_series(series), Calibration.load(calibration), codes, out)
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out}")
