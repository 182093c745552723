"""The command that calibrates on a folder of probability maps."""

from __future__ import annotations

from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.matching import matched
from monai_rwcp.commands.outputs import claim_calibration
from monai_rwcp.commands.telling import say, say_cases, told
from monai_rwcp.folders.forms import MapForm, map_endings

__all__ = ["calibrate"]


@click.command()
@options.maps
@options.labels(called_as="maps")
@options.units
@click.option(
    "--alpha", default=0.1, show_default=True, help="Share of a structure that may be missed on average: 0.1 for 10 %."
)
@click.option("--class-names", help="Names of the channels, with commas: background,left ventricle,...")
@click.option("--out", type=options.NEW_FILE, required=True, help="The calibration, JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the calibration that is there; no other file.")
def calibrate(
    maps: Path,
    form: MapForm,
    score: str,
    images: Path | None,
    extractor: str | None,
    intensity: str | None,
    network: str | None,
    trust: bool,
    dry_run: bool,
    labels: Path,
    units: Path | None,
    alpha: float,
    class_names: str | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Calibrate on the probability maps in MAPS and their labels."""
    with told():
        cases = matched(maps, endings=map_endings(form), labels=labels, images=images, units=units)
        if units is None:
            _refuse_tuned(score)
        if dry_run:
            say_cases(cases)
            return
        claim_calibration(out, overwrite)

        from monai_rwcp.commands.extractor import optional_extractor
        from monai_rwcp.folders.runs import calibrate_folder
        from monai_rwcp.utils.processes import joined_processes

        source = optional_extractor(extractor, intensity, trust=trust)
        with joined_processes():
            found = calibrate_folder(
                cases,
                out,
                form=form,
                score=score,
                extractor=source,
                network=network,
                alpha=alpha,
                class_names=None if class_names is None else [name.strip() for name in class_names.split(",")],
                progress=True,
            )
            say(f"{found.promise}\n{out}")
        if units is None:
            say("Where several cases are of one patient, name the patients by --units, a CSV file case,unit.")


def _refuse_tuned(score: str) -> None:
    from monai_rwcp.folders.scores import settings_file

    # A name of no file has an error of its own, below.
    if settings_file(score) is not None and Path(score).exists():
        raise ValueError(
            "Settings that were tuned belong to --units, a CSV file case,unit: without the names of the patients "
            "nobody can tell whether some were tuned on, and for those the promise would not hold."
        )
