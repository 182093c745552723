"""The command that chooses a score on the tuning patients of a data list."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.outputs import check_empty_folder
from monai_rwcp.commands.telling import tell, told
from monai_rwcp.folders.forms import MapForm

__all__ = ["tune"]


def _strides(_context: click.Context, _option: click.Parameter, value: str | None) -> int | tuple[int, ...] | None:
    """One stride for all axes, or one for each."""
    if value is None:
        return None
    try:
        strides = tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(
            f"Expected a stride such as 4, or one for each axis such as 4,4,1, but got {value!r}."
        ) from error
    return strides[0] if len(strides) == 1 else strides


@click.command()
@click.argument("datalist", type=options.FILE)
@click.option("--out", type=options.NEW_FOLDER, required=True, help="An empty or new folder.")
@click.option("--section", default="tuning", show_default=True, help="Section that is tuned on; others are kept apart.")
@options.form(default="channels-last", show_default=True)
@click.option("--extractor", help="As in `features`; without it only plain and blurred maps are compared.")
@click.option("--intensity", help="As in `features`.")
@options.trust
@click.option("--alpha", default=0.1, show_default=True, help="The false negative rate that will be promised.")
@click.option("--n-calibration", type=int, help="Calibration units to come: few work at a lower level than alpha.")
@click.option(
    "--objective",
    type=click.Choice(["stretch", "safe_stretch", "dice", "hausdorff_distance_95"]),
    default="stretch",
    show_default=True,
    help="What is best: small sets, the same without harm to small structures (tries more, takes longer), overlap, or "
    "near surfaces (takes longer).",
)
@click.option("--unit-key", default="patient", show_default=True, help="Entry of the data list that names the unit.")
@click.option(
    "--grid",
    default="4",
    show_default=True,
    callback=_strides,
    help="Stride of the graph's grid on the map; 4,4,1 for thick slices along the third axis.",
)
@click.option("--fine-grid", callback=_strides, help="A finer grid, to try 54 more walks: 2, or 2,2,1.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order of the units and of the bootstrap.")
def tune(
    datalist: Path,
    out: Path,
    section: str,
    form: MapForm,
    extractor: str | None,
    intensity: str | None,
    trust: bool,
    alpha: float,
    n_calibration: int | None,
    objective: Literal["stretch", "safe_stretch", "dice", "hausdorff_distance_95"],
    unit_key: str,
    grid: int | tuple[int, ...],
    fine_grid: int | tuple[int, ...] | None,
    seed: int,
) -> None:
    """Choose plain, blurred or walked scores on tuning patients.

    DATALIST is a JSON file with a section of items that have image, pred, label and patient.
    """
    for option, value in (("--intensity", intensity), ("--fine-grid", fine_grid)):
        if value is not None and extractor is None:
            raise click.UsageError(f"{option} belongs to an --extractor, but none is given.")
    with told():
        check_empty_folder(out)

        from monai_rwcp.commands.extractor import optional_extractor
        from monai_rwcp.folders.tuning import tune_from_files

        choice = tune_from_files(
            datalist,
            out,
            section=section,
            form=form,
            extractor=optional_extractor(extractor, intensity, trust=trust),
            alpha=alpha,
            n_calibration=n_calibration,
            objective=objective,
            unit_key=unit_key,
            grid=grid,
            fine_grid=fine_grid,
            seed=seed,
            progress=True,
        )
    tell(f"{choice.why}\nIn {out}: settings.json (for TunedScored), table.md, settings.png (look at it)")
