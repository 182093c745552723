"""The command that makes a DICOM segmentation object of prediction sets."""

from __future__ import annotations

from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.outputs import claim_new_file
from monai_rwcp.commands.telling import tell, told

__all__ = ["dicom_seg"]


@click.command()
@click.argument("sets", type=options.FILE)
@click.option(
    "--series",
    type=options.FOLDER,
    required=True,
    help="Folder of the DICOM images that the sets were made of; the object refers to them.",
)
@click.option("--calibration", type=options.FILE, required=True, help="What the sets were made with.")
@click.option(
    "--anatomy",
    multiple=True,
    required=True,
    help="CHANNEL=VALUE,SCHEME,MEANING: the code of a class, such as 1=80891009,SCT,Heart. Once for every class.",
)
@click.option("--out", type=options.NEW_FILE, required=True, help="The DICOM file.")
def dicom_seg(sets: Path, series: Path, calibration: Path, anatomy: tuple[str, ...], out: Path) -> None:
    """Write a file of prediction sets as a DICOM segmentation object. SETS is NIfTI, NRRD or MHA, [x, y, z, C]."""
    with told():
        claim_new_file(out)

        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.dicom.nifti_sets import parsed_anatomies, write_nifti_sets
        from monai_rwcp.dicom.series import read_series

        codes = parsed_anatomies(anatomy)
        write_nifti_sets(sets, read_series(series), Calibration.load(calibration), codes, out)
    tell(f"{out}")
