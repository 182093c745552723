"""The command line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

from monai_rwcp.version import __version__

try:
    import click
except ModuleNotFoundError as error:
    raise SystemExit('The command line needs the extra "demo": pip install "monai-rwcp[demo]"') from error

from monai_rwcp.commands.check import check
from monai_rwcp.commands.dicom_seg import dicom_seg
from monai_rwcp.commands.folder_commands import FORMS, FORMS_HELP, calibrate, card, evaluate, predict, report
from monai_rwcp.folders.maps import MapForm

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="monai-rwcp")
def main() -> None:
    """Prediction sets with a statistical promise for MONAI segmentation networks."""


for command in (calibrate, predict, evaluate, report, card, check, dicom_seg):
    main.add_command(command)


@main.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="An empty or new folder.")
@click.option("--seed", default=0, show_default=True, help="Seed of the phantoms, the weights and the training.")
def demo(out: Path, seed: int) -> None:
    """Make phantom patients, train a small network, calibrate it with and without the walk, and predict."""
    if out.is_dir() and any(out.iterdir()):
        raise click.UsageError(f"'{out}' is not empty; nothing there is overwritten. Name an empty or a new folder.")
    start = time.perf_counter()
    try:
        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.demo.run import run_demo

        out.mkdir(parents=True, exist_ok=True)
        table = run_demo(out, seed=seed)
    except (ImportError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\n{table}")
    click.echo(f"The promise of the sets with the walk:\n{Calibration.load(out / 'calibration.json').promise}")
    click.echo(
        f"\n{time.perf_counter() - start:.0f} s. In {out}: sets/ (prediction sets), calibration.json (with the walk), "
        "calibration_plain.json, table.md, overview.png (look at it), network.pt, "
        "cohort/ and datalist.json (the phantom patients)"
    )


@main.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--extractor",
    required=True,
    help="mind, a .pt2 file of torch.export, a folder or hub id of a foundation network, or a .json file with an "
    "entry 'extractor'.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The PNG.")
@click.option("--intensity", help="How the image becomes [0, 1]: none, percentiles or LOW,HIGH (such as HU).")
@click.option("--channel", type=int, help="Which channel of an image that has several, from 0.")
@click.option("--slice", "slice_index", type=int, help="Which slice of a volume, from 0; by default the middle one.")
@click.option("--axis", type=click.IntRange(0, 2), default=2, show_default=True, help="Axis of the slices.")
@click.option("--volume", is_flag=True, help="Compute the features of the whole volume, for 3D networks.")
@click.option("--point", help="I,J: a pixel, from 0, along the two axes shown; by default the middle.")
@click.option("--k", default=20, show_default=True, help="How many nearest neighbours of the point are marked.")
@click.option("--center", is_flag=True, help="Subtract the image's mean feature first, as recommended() does.")
def features(
    image: Path,
    extractor: str,
    out: Path,
    intensity: str | None,
    channel: int | None,
    slice_index: int | None,
    axis: int,
    volume: bool,
    point: str | None,
    k: int,
    center: bool,
) -> None:
    """Draw what a source of features sees in IMAGE: colours for features, and what is alike to one point."""
    try:
        from monai_rwcp.commands.extractor import chosen_extractor
        from monai_rwcp.report.figures.feature_look import look_at_features
        from monai_rwcp.utils.files import check_writable

        check_writable(out)
        look_at_features(
            image,
            chosen_extractor(extractor, intensity),
            out,
            channel=channel,
            slice_index=slice_index,
            axis=axis,
            volume=volume,
            point=None if point is None else [int(part) for part in point.split(",")],
            k=k,
            center=center,
        )
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out}")


@main.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The merged table.")
@click.option("--shared-units", is_flag=True, help="A unit may be in several tables: they are parts of one job.")
def merge(tables: tuple[Path, ...], out: Path, shared_units: bool) -> None:
    """Merge loss tables that separate jobs or hospitals saved: TABLES of LossTable.save, without any image."""
    try:
        from monai_rwcp.conformal.counting.loss_table import LossTable

        if out.exists():
            raise FileExistsError(f"'{out}' exists; nothing there is overwritten. Name a new file.")
        merged = LossTable.merge([LossTable.load(path) for path in tables], shared_units=shared_units)
        merged.save(out)
    except (ImportError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{out}: {len(merged.units)} {merged.unit_name}s with {len(merged.images)} images of {len(tables)} tables."
    )


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


@main.command()
@click.argument("datalist", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="An empty or new folder.")
@click.option("--section", default="tuning", show_default=True, help="Section that is tuned on; others are kept apart.")
@click.option("--form", type=FORMS, default="channels-last", show_default=True, help=FORMS_HELP)
@click.option("--extractor", help="As of `features`; without it plain and blurred probabilities are compared only.")
@click.option("--intensity", help="As of `features`.")
@click.option("--alpha", default=0.1, show_default=True, help="The false negative rate that will be promised.")
@click.option("--n-calibration", type=int, help="Calibration units to come: few work at a lower level than alpha.")
@click.option(
    "--objective",
    type=click.Choice(["stretch", "dice", "hausdorff_distance_95"]),
    default="stretch",
    show_default=True,
    help="What is best: small sets, overlap, or near surfaces (takes longer).",
)
@click.option("--unit-key", default="patient", show_default=True, help="Entry of the data list that names the unit.")
@click.option(
    "--grid",
    default="4",
    show_default=True,
    callback=_strides,
    help="Stride of the graph's grid on the map; 4,4,1 for thick slices along the third axis.",
)
@click.option("--fine-grid", callback=_strides, help="A finer one to try 54 more walks on: 2, or 2,2,1.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order of the units and of the bootstrap.")
def tune(
    datalist: Path,
    out: Path,
    section: str,
    form: MapForm,
    extractor: str | None,
    intensity: str | None,
    alpha: float,
    n_calibration: int | None,
    objective: Literal["stretch", "dice", "hausdorff_distance_95"],
    unit_key: str,
    grid: int | tuple[int, ...],
    fine_grid: int | tuple[int, ...] | None,
    seed: int,
) -> None:
    """Choose plain, blurred or walked scores on the tuning patients of DATALIST (image, pred, label, patient)."""
    for option, value in (("--intensity", intensity), ("--fine-grid", fine_grid)):
        if value is not None and extractor is None:
            raise click.UsageError(f"{option} belongs to an --extractor, but none is given.")
    try:
        from monai_rwcp.commands.extractor import chosen_extractor
        from monai_rwcp.folders.tuning import tune_from_files

        if out.is_dir() and any(out.iterdir()):
            raise click.UsageError(
                f"'{out}' is not empty; nothing there is overwritten. Name an empty or a new folder."
            )
        choice = tune_from_files(
            datalist,
            out,
            section=section,
            form=form,
            extractor=None if extractor is None else chosen_extractor(extractor, intensity),
            alpha=alpha,
            n_calibration=n_calibration,
            objective=objective,
            unit_key=unit_key,
            grid=grid,
            fine_grid=fine_grid,
            seed=seed,
            progress=True,
        )
    except (ImportError, OSError, TypeError, ValueError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{choice.why}\nIn {out}: settings.json (for TunedScored), table.md, settings.png (look at it)")
