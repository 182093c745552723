"""The commands for folders of maps that another program wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import click

from monai_rwcp.folders.maps import MapForm, map_endings
from monai_rwcp.folders.match import FolderCase, match_folders

__all__ = ["FORMS", "FORMS_HELP", "calibrate", "card", "evaluate", "predict", "report"]

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


FORMS = click.Choice(get_args(MapForm))
FORMS_HELP = (
    "NIfTI [x, y, z, C] (channels-last), [C, x, y, z] (channels-first) or one structure's [x, y, z] (one-class); or "
    "the .npz of nnU-Net v2's --save_probabilities, with its segmentation beside it."
)


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_MAPS = _options(
    click.argument("maps", type=_FOLDER),
    click.option("--form", type=FORMS, required=True, help=FORMS_HELP),
    click.option(
        "--score",
        default="plain",
        show_default=True,
        help="plain, paper, recommended, or the settings.json of `tune`.",
    ),
    click.option("--images", type=_FOLDER, help="Folder of the images, for a score that walks."),
    click.option("--extractor", help="Source of features, as of `features`."),
    click.option("--intensity", help="As of `features`."),
    click.option("--dry-run", is_flag=True, help="Only tell which files belong together."),
)
_UNITS = click.option("--units", type=_FILE, help="CSV file: case,unit. Without it every case is a patient of its own.")


@click.command()
@_MAPS
@click.option("--labels", type=_FOLDER, required=True, help="Folder of the labels: NIfTI, called as the maps.")
@_UNITS
@click.option("--alpha", default=0.1, show_default=True, help="Highest expected share of the truth that is missed.")
@click.option("--class-names", help="Names of the channels, with commas: background,left ventricle,...")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The calibration, JSON.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def calibrate(
    maps: Path,
    form: MapForm,
    score: str,
    images: Path | None,
    extractor: str | None,
    intensity: str | None,
    dry_run: bool,
    labels: Path,
    units: Path | None,
    alpha: float,
    class_names: str | None,
    out: Path,
    overwrite: bool,
) -> None:
    """Calibrate on the probability maps in MAPS and their labels."""
    with _told():
        from monai_rwcp.folders.runs import calibrate_folder
        from monai_rwcp.folders.scores import settings_file

        cases = match_folders(maps, endings=map_endings(form), labels=labels, images=images, units=units)
        if units is None and settings_file(score) is not None:
            raise ValueError(
                "Settings that were tuned belong to --units, a CSV file case,unit: without the patients' names nobody "
                "can tell whether some of them were tuned on, and the promise would not hold for these."
            )
        if _shown(cases, dry_run):
            return
        if out.exists() and not overwrite:
            raise FileExistsError(f"'{out}' exists. Name a new file, or give --overwrite.")
        found = calibrate_folder(
            cases,
            out,
            form=form,
            score=score,
            extractor=_source(extractor, intensity),
            alpha=alpha,
            class_names=None if class_names is None else [name.strip() for name in class_names.split(",")],
            progress=True,
        )
        _say(f"{found.promise}\n{out}")


@click.command()
@_MAPS
@click.option("--calibration", type=_FILE, required=True, help="What `calibrate` wrote.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the sets.")
@click.option("--overwrite", is_flag=True, help="Replace what is there; otherwise an interrupted run goes on.")
def predict(
    maps: Path,
    form: MapForm,
    score: str,
    images: Path | None,
    extractor: str | None,
    intensity: str | None,
    dry_run: bool,
    calibration: Path,
    out: Path,
    overwrite: bool,
) -> None:
    """Write the prediction sets of the probability maps in MAPS, NIfTI [x, y, z, C] of 0 and 1."""
    with _told():
        from monai_rwcp.folders.runs import predict_folder

        cases = match_folders(maps, endings=map_endings(form), images=images)
        if _shown(cases, dry_run):
            return
        log = predict_folder(
            cases,
            calibration,
            out,
            form=form,
            score=score,
            extractor=_source(extractor, intensity),
            overwrite=overwrite,
            progress=True,
        )
        _say(f"{log['promise']}\n{len(log['cases'])} sets in {out}, their sizes in {out / 'run.json'}")


@click.command()
@click.argument("sets", type=_FOLDER)
@click.option("--labels", type=_FOLDER, required=True, help="Folder of the labels: NIfTI, called as the sets.")
@_UNITS
@click.option("--calibration", type=_FILE, required=True, help="What the sets were made with.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The figures as JSON.")
def evaluate(sets: Path, labels: Path, units: Path | None, calibration: Path, out: Path | None) -> None:
    """Measure the prediction sets in SETS, which `predict` wrote, against labels that were not calibrated on."""
    with _told():
        import json

        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.folders.runs import evaluate_folder
        from monai_rwcp.report.tables.evaluation_table import evaluation_table
        from monai_rwcp.utils.files import check_writable, written_whole
        from monai_rwcp.utils.processes import is_first_process

        if out is not None:
            if out.exists():
                raise FileExistsError(f"'{out}' exists. Name a new file.")
            check_writable(out)
        promised = Calibration.load(calibration)
        cases = match_folders(sets, labels=labels, units=units)
        figures = evaluate_folder(cases, promised, progress=True)
        _say(evaluation_table(figures, promised))
        if out is not None and is_first_process():
            with written_whole(out) as temporary:
                temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")
            click.echo(f"{out}")


@click.command()
@click.argument("sets", type=_FOLDER)
@click.option("--labels", type=_FOLDER, required=True, help="Folder of the labels: NIfTI, called as the sets.")
@click.option("--images", type=_FOLDER, help="Folder of the images, to show the worst cases on.")
@click.option("--inner", type=_FOLDER, help="Folder of inner sets, called as the sets, to show the band between both.")
@_UNITS
@click.option("--calibration", type=_FILE, required=True, help="What the sets were made with.")
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="How many of the worst sets are shown slice by slice.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The page, HTML.")
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
    """Write a page of what was promised and observed, from the sets in SETS and labels not calibrated on."""
    with _told():
        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.folders.report import folder_report
        from monai_rwcp.utils.files import check_writable, written_whole

        if out.exists():
            raise FileExistsError(f"'{out}' exists. Name a new file.")
        check_writable(out)
        promised = Calibration.load(calibration)
        cases = match_folders(sets, labels=labels, images=images, inner=inner, units=units)
        page = folder_report(cases, promised, n_shown=worst, progress=True)
        with written_whole(out) as temporary:
            temporary.write_text(page, encoding="utf-8")
        click.echo(f"{out}")


@click.command()
@click.argument("calibration", type=_FILE)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The card, markdown.")
@click.option("--figures", type=_FILE, help="What `evaluate --out` wrote.")
@click.option("--population", help="Who the calibration patients were, in a sentence or two.")
@click.option("--known-failures", help="Where the sets are known to fail.")
def card(
    calibration: Path, out: Path, figures: Path | None, population: str | None, known_failures: str | None
) -> None:
    """Write a card of CALIBRATION: promise, patients, settings, observed figures and limits."""
    with _told():
        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.report.tables.card import calibration_card
        from monai_rwcp.utils.files import written_whole
        from monai_rwcp.utils.json_documents import read_json

        if out.exists():
            raise FileExistsError(f"'{out}' exists. Name a new file.")
        text = calibration_card(
            Calibration.load(calibration),
            population=population,
            known_failures=known_failures,
            figures=None if figures is None else read_json(figures, "file of figures", "Run evaluate --out"),
        )
        with written_whole(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        click.echo(f"{out}")


def _source(extractor: str | None, intensity: str | None) -> Any:
    from monai_rwcp.commands.extractor import chosen_extractor

    if extractor is None and intensity is not None:
        raise ValueError("--intensity belongs to an --extractor, but none is given.")
    return None if extractor is None else chosen_extractor(extractor, intensity)


def _say(text: str) -> None:
    """Once, however many processes share the folder."""
    from monai_rwcp.utils.processes import is_first_process

    if is_first_process():
        click.echo(text)


def _shown(cases: list[FolderCase], dry_run: bool) -> bool:
    if dry_run:
        for case in cases:
            others = [str(path) for path in (case.label, case.image) if path is not None]
            _say(f"{case.name} (unit {case.unit}): {', '.join([str(case.map), *others])}")
        _say(f"{len(cases)} cases of {len({case.unit for case in cases})} units; nothing was written.")
    return dry_run


@contextmanager
def _told() -> Iterator[None]:
    """Errors that a user can mend, as a message and exit code 1; under torchrun the processes share the work."""
    from monai_rwcp.utils.processes import joined_processes

    try:
        with joined_processes():
            yield
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
