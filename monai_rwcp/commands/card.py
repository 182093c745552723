"""The command that writes the card of a calibration."""

from __future__ import annotations

from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.outputs import claim_new_file
from monai_rwcp.commands.telling import tell, told
from monai_rwcp.utils.files import written_whole

__all__ = ["card"]


@click.command()
@click.argument("calibration", type=options.FILE)
@click.option("--out", type=options.NEW_FILE, required=True, help="The card, markdown.")
@click.option("--figures", type=options.FILE, help="What `evaluate --out` wrote.")
@click.option("--population", help="Who the calibration patients were, in a sentence or two.")
@click.option("--known-failures", help="Where the sets are known to fail.")
def card(
    calibration: Path, out: Path, figures: Path | None, population: str | None, known_failures: str | None
) -> None:
    """Write a card of a calibration, for those who use its sets.

    It tells promise, patients, settings, observed figures and limits. CALIBRATION is what `calibrate` wrote.
    """
    with told():
        claim_new_file(out)

        from monai_rwcp.conformal.promises.calibration import Calibration
        from monai_rwcp.report.figures_file import read_figures
        from monai_rwcp.report.tables.card import calibration_card

        promised = Calibration.load(calibration)
        text = calibration_card(
            promised,
            population=population,
            known_failures=known_failures,
            figures=None if figures is None else read_figures(figures, promised),
        )
        with written_whole(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
        tell(f"{out}")
