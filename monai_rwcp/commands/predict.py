"""The command that makes the prediction sets of a folder of probability maps."""

from __future__ import annotations

from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.matching import matched
from monai_rwcp.commands.telling import say, say_cases, told
from monai_rwcp.folders.forms import MapForm, map_endings

__all__ = ["predict"]


@click.command()
@options.maps
@click.option("--calibration", type=options.FILE, required=True, help="What `calibrate` wrote.")
@click.option("--out", type=options.NEW_FOLDER, required=True, help="Folder of the sets.")
@click.option("--overwrite", is_flag=True, help="Make the sets of an earlier run anew; otherwise it goes on.")
def predict(
    maps: Path,
    form: MapForm,
    score: str,
    images: Path | None,
    extractor: str | None,
    intensity: str | None,
    network: str | None,
    trust: bool,
    dry_run: bool,
    calibration: Path,
    out: Path,
    overwrite: bool,
) -> None:
    """Write the prediction sets of the probability maps in MAPS.

    They are NIfTI files [x, y, z, C] of 0 and 1, with a channel for each class.
    """
    with told():
        cases = matched(maps, endings=map_endings(form), images=images)
        if dry_run:
            say_cases(cases)
            return

        from monai_rwcp.commands.extractor import optional_extractor
        from monai_rwcp.folders.runs import predict_folder
        from monai_rwcp.utils.processes import joined_processes

        source = optional_extractor(extractor, intensity, trust=trust)
        with joined_processes():
            log = predict_folder(
                cases,
                calibration,
                out,
                form=form,
                score=score,
                extractor=source,
                network=network,
                overwrite=overwrite,
                progress=True,
            )
            say(f"{log['promise']}\n{len(log['cases'])} sets in {out}, their sizes in {out / 'run.json'}")
