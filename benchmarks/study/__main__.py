"""Does the walk help, when, and by how much: random splits of patients into tuning, calibration and test."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from tqdm import tqdm

from benchmarks.common.rows import read_rows, save_rows
from benchmarks.common.splitter import Splitter
from benchmarks.study.measure import by_patient, load_curves, measure
from benchmarks.study.sets import SETS, SURFACE_ALPHA, candidates_of, study_set
from benchmarks.study.splits import Outcome, SplitRow, outcomes, split_rows
from benchmarks.study.surfaces import measure_sets, set_rows
from benchmarks.study.tables import split_table


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
        pooled = by_patient(study, curves)
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
