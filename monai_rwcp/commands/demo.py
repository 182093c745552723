"""The command that shows everything on phantom patients."""

from __future__ import annotations

import time
from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.outputs import check_empty_folder
from monai_rwcp.commands.telling import tell, told

__all__ = ["demo"]

_NEXT = """\
The phantoms were made to show the method: an illustration, no evidence. What it does on real patients stands in the
documentation, under Evidence.
Open {out}/report.html: what was promised, what was observed, and the worst cases, slice by slice.
{out}/overview.png shows one patient, {out}/sets/ holds the prediction sets.
Next, with probability maps and labels of your own patients:
  monai-rwcp calibrate MAPS --form nnunet --labels LABELS --out calibration.json
"""


@click.command()
@click.option("--out", type=options.NEW_FOLDER, required=True, help="An empty or new folder.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the phantoms, the weights and the training.",
)
def demo(out: Path, seed: int) -> None:
    """Show everything on phantom patients, in about two minutes.

    Trains a small network, tunes the score, calibrates, predicts, and compares with plain thresholding. Leaves a
    report, a picture, a table and the prediction sets.
    """
    check_empty_folder(out)
    start = time.perf_counter()
    # Nothing here is the user's but the folder, so any other error is a fault of the demo.
    with told((ImportError, OSError)):
        from monai_rwcp.demo.run import run_demo

        out.mkdir(parents=True, exist_ok=True)
        found = run_demo(out, seed=seed)
    tell(f"\n{found.table}\n{found.words}\n\nTuning chose: {found.chosen}\n\nThe promise:\n{found.promise}\n")
    tell(f"{_NEXT.format(out=out)}({time.perf_counter() - start:.0f} s)")
