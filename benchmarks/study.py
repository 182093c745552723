"""Does the walk help, when, and by how much: random splits of patients into tuning, calibration and test."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from tqdm import tqdm

from benchmarks.study_cases import STRENGTHS, StudySet, acdc_slices, acdc_volumes, hippocampus
from benchmarks.study_measure import StudyCandidate, load_curves, measure, study_candidates
from benchmarks.study_splits import Outcome, SplitRow, Splitter, outcomes, split_rows
from benchmarks.study_surfaces import measure_sets, set_rows
from benchmarks.study_tables import read_rows, save_rows, split_table
from monai_rwcp.walk import Grid

SETS = (
    *(f"acdc-slices-{n}" for n in (3, 8, 30)),
    *(f"acdc-volumes-{n}" for n in (3, 8, 30)),
    *(f"hippocampus-{strength}" for strength in STRENGTHS),
)


# Distances cost milliseconds a set, so they are measured at one promise.
SURFACE_ALPHA = 0.1


def study_set(name: str, shared: Path, out: Path, slices: int | None) -> StudySet:
    """One of the sets by its name."""
    kind, which = name.rsplit("-", 1)
    if kind == "hippocampus":
        return hippocampus(shared / "data" / "hippocampus", which, out)
    weights = shared / "weights" / f"acdc_unet_{which}patients.pt"
    if kind == "acdc-volumes":
        return acdc_volumes(shared / "data" / "acdc", weights)
    encoder = shared / "weights" / "litemedsam_encoder_256.pt2"
    return acdc_slices(shared / "data" / "acdc", weights, encoder, out / "features", slices)


def candidates_of(name: str, study: StudySet) -> list[StudyCandidate]:
    """What is compared on a set; on a fine grid, too, where the network is strong and maps are small."""
    volumes = not name.startswith("acdc-slices")
    grid: Grid = 2 if name.startswith("hippocampus") else (4, 4, 1) if volumes else 4
    fine_grid = 2 if name == "acdc-slices-30" else None
    return study_candidates(study.sources, grid, fine_grid=fine_grid, volumes=volumes)


@click.command(context_settings={"show_default": True})
@click.option("--set", "names", type=click.Choice(SETS), multiple=True, required=True, help="May be repeated.")
@click.option("--shared", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out/study"))
@click.option("--slices", default=2, help="Slices of each ACDC volume, spread evenly.")
@click.option("--alpha", "alphas", type=float, multiple=True, default=(0.05, 0.1, 0.2))
@click.option("--splits", default=100)
@click.option("--surface-splits", default=10, help=f"How many of them are measured by distance, at {SURFACE_ALPHA}.")
@click.option("--seed", default=0)
def main(
    names: tuple[str, ...],
    shared: Path,
    out: Path,
    slices: int,
    alphas: tuple[float, ...],
    splits: int,
    surface_splits: int,
    seed: int,
) -> None:
    """Measure all candidates on the cases of a set (once; a killed run goes on), then split its patients many times."""
    for name in names:
        study = study_set(name, shared, out, slices)
        candidates = candidates_of(name, study)
        folder = out / "curves" / name
        measure(study, candidates, folder)
        curves, splitter = load_curves(study, candidates, folder), Splitter(tuple(study.units), seed)
        owner = {info.name: info.unit for info in study.infos}
        pooled = {candidate: of.pooled(owner) for candidate, of in curves.items()}
        rows: list[SplitRow] = []
        looked_at: list[Outcome] = []
        with tqdm(total=len(alphas) * splits, desc=f"{study.name}: splits") as bar:
            for alpha in alphas:
                _, calibrate, _ = splitter.split(0)
                if len(calibrate) < 1 / alpha - 1:
                    click.echo(f"alpha = {alpha} is not available with {len(calibrate)} calibration patients.")
                    bar.update(splits)
                    continue
                for number in range(splits):
                    for outcome in outcomes(pooled, splitter, number, alpha):
                        rows += split_rows(study, curves, pooled, outcome)
                        if alpha == SURFACE_ALPHA and number < surface_splits:
                            looked_at.append(outcome)
                    bar.update()
        # Distances of an earlier run are of other splits, perhaps.
        (out / f"{name}-sets.csv").unlink(missing_ok=True)
        save_rows([asdict(row) for row in rows], out / f"{name}.csv")
        if looked_at:
            figures = measure_sets(study, candidates, looked_at, out / "sets" / name)
            sets = [row for outcome in looked_at for row in set_rows(study, curves, outcome, figures)]
            save_rows([asdict(row) for row in sets], out / f"{name}-sets.csv")
        n = [len(part) for part in splitter.split(0)]
        click.echo(f"\n{study.name}: {n[0]} patients to tune, {n[1]} to calibrate, {n[2]} to test, {splits} splits\n")
        click.echo(split_table(read_rows(out / f"{name}.csv")))


if __name__ == "__main__":
    main()
