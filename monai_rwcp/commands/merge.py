"""The command that merges loss tables."""

from __future__ import annotations

from pathlib import Path

import click

from monai_rwcp.commands import options
from monai_rwcp.commands.outputs import claim_new_file
from monai_rwcp.commands.telling import tell, told

__all__ = ["merge"]


@click.command()
@click.argument("tables", nargs=-1, required=True, type=options.FILE)
@click.option("--out", type=options.NEW_FILE, required=True, help="The merged table.")
@click.option("--shared-units", is_flag=True, help="A unit may be in several tables: they are parts of one job.")
def merge(tables: tuple[Path, ...], out: Path, shared_units: bool) -> None:
    """Merge loss tables of several hospitals or jobs. TABLES are files of LossTable.save; no image is needed."""
    with told():
        claim_new_file(out)

        from monai_rwcp.conformal.counting.loss_table import LossTable

        merged = LossTable.merge([LossTable.load(path) for path in tables], shared_units=shared_units)
        merged.save(out)
    tell(f"{out}: {len(merged.units)} {merged.unit_name}s with {len(merged.images)} images of {len(tables)} tables.")
