"""The command line."""

from __future__ import annotations

import time
from pathlib import Path

from monai_rwcp.version import __version__

try:
    import click
except ModuleNotFoundError as error:
    raise SystemExit('The command line needs the extra "demo": pip install "monai-rwcp[demo]"') from error

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="monai-rwcp")
def main() -> None:
    """Prediction sets with a statistical promise for MONAI segmentation networks."""


@main.command()
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="An empty or new folder.")
@click.option("--seed", default=0, show_default=True, help="Seed of the phantoms, the weights and the training.")
def demo(out: Path, seed: int) -> None:
    """Make phantom patients, train a small network, calibrate it with and without the walk, and predict."""
    if out.is_dir() and any(out.iterdir()):
        raise click.UsageError(f"'{out}' is not empty; nothing there is overwritten. Name an empty or a new folder.")
    start = time.perf_counter()
    try:
        from monai_rwcp.conformal import Calibration
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
