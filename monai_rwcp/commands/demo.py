"""The command that shows everything on phantom patients."""

from __future__ import annotations

import time
from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.outputs import check_empty_folder
from monai_rwcp.commands.telling import tell, told

__all__ = ["demo"]


@click.command()
@click.option("--out", type=options.NEW_FOLDER, required=True, help="An empty or new folder.")
@click.option("--seed", default=0, show_default=True, help="Seed of the phantoms, the weights and the training.")
def demo(out: Path, seed: int) -> None:
    """Show everything on phantom patients, in about two minutes.

    Makes phantom patients, trains a small network, calibrates it with and without the walk, and predicts.
    """
    check_empty_folder(out)
    start = time.perf_counter()
    # Nothing here is the user's but the folder, so any other error is a fault of the demo.
    with told((ImportError, OSError)):
        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.demo.run import run_demo

        out.mkdir(parents=True, exist_ok=True)
        table = run_demo(out, seed=seed)
    tell(f"\n{table}")
    tell(f"The promise of the sets with the walk:\n{Calibration.load(out / 'calibration.json').promise}")
    tell(
        f"\n{time.perf_counter() - start:.0f} s. In {out}: sets/ (prediction sets), calibration.json (with the walk), "
        "calibration_plain.json, table.md, overview.png (look at it), network.pt, "
        "cohort/ and datalist.json (the phantom patients)"
    )
