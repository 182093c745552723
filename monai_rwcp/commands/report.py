"""The command that writes a page of what was promised and observed."""

from __future__ import annotations

from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.matching import matched
from monai_rwcp.commands.outputs import claim_new_file
from monai_rwcp.commands.telling import tell, told
from monai_rwcp.utils.files import check_writable, written_whole

__all__ = ["report"]


@click.command()
@click.argument("sets", type=options.FOLDER)
@options.labels(called_as="sets")
@click.option("--images", type=options.FOLDER, help="Folder of the images, to show the worst cases on.")
@click.option(
    "--inner",
    type=options.FOLDER,
    help="Folder of inner sets, named as the sets, to show the band between both.",
)
@options.units
@click.option("--calibration", type=options.FILE, required=True, help="What the sets were made with.")
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="How many of the worst sets are shown slice by slice.",
)
@click.option("--out", type=options.NEW_FILE, required=True, help="The page, HTML.")
def report(
    sets: Path,
    labels: Path,
    images: Path | None,
    inner: Path | None,
    units: Path | None,
    calibration: Path,
    worst: int,
    out: Path,
) -> None:
    """Write a page of what was promised and what was observed.

    SETS is the folder that `predict` wrote; none of its patients may be one that was calibrated on.
    """
    with told():
        claim_new_file(out)
        check_writable(out)
        cases = matched(sets, labels=labels, images=images, inner=inner, units=units, what="set")

        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.folders.report import folder_report
        from monai_rwcp.utils.processes import joined_processes

        promised = Calibration.load(calibration)
        with joined_processes():
            page = folder_report(cases, promised, n_shown=worst, progress=True)
            with written_whole(out) as temporary:
                temporary.write_text(page, encoding="utf-8")
            tell(f"{out}")
