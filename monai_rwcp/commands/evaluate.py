"""The command that measures a folder of prediction sets against labels."""

from __future__ import annotations

from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.matching import matched
from monai_rwcp.commands.outputs import claim_new_file
from monai_rwcp.commands.telling import say, tell, told
from monai_rwcp.utils.files import check_writable

__all__ = ["evaluate"]


@click.command()
@click.argument("sets", type=options.FOLDER)
@options.labels(called_as="sets")
@options.units
@click.option("--calibration", type=options.FILE, required=True, help="What the sets were made with.")
@click.option("--out", type=options.NEW_FILE, help="The figures as JSON.")
def evaluate(sets: Path, labels: Path, units: Path | None, calibration: Path, out: Path | None) -> None:
    """Measure the prediction sets of `predict` against labels.

    SETS is the folder that `predict` wrote; none of its patients may be one that was calibrated on.
    """
    with told():
        if out is not None:
            claim_new_file(out)
            check_writable(out)
        cases = matched(sets, labels=labels, units=units, what="set")

        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.folders.runs import evaluate_folder
        from monai_rwcp.report.cautions import other_units
        from monai_rwcp.report.figures_file import write_figures
        from monai_rwcp.report.tables.evaluation_table import evaluation_table
        from monai_rwcp.utils.processes import is_first_process, joined_processes

        promised = Calibration.load(calibration)
        with joined_processes():
            figures = evaluate_folder(cases, promised, progress=True)
            say(evaluation_table(figures, promised))
            for caution in other_units(promised, cases[0].unit_name):
                say(caution)
            if out is not None and is_first_process():
                write_figures(figures, promised, out)
                tell(f"{out}")
