"""The command line: the list of its commands, each in a file of its own."""

from __future__ import annotations

import io
import sys
from importlib import import_module

from monai_rwcp.utils.packages import needed
from monai_rwcp.version import __version__

try:
    with needed("The command line needs", "demo", "click"):
        import click
except ImportError as error:
    raise SystemExit(str(error)) from error

__all__ = ["COMMANDS", "main"]

COMMANDS = (
    "calibrate",
    "card",
    "check",
    "demo",
    "dicom-seg",
    "evaluate",
    "features",
    "merge",
    "predict",
    "report",
    "tune",
)
"""Each is the object of its name in the module of its name in `monai_rwcp.commands`, with an underscore for a dash."""


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # For a name that is unknown click looks at those of all commands, to say which one may be meant.
        for name in (cmd_name,) if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                module = name.replace("-", "_")
                self.add_command(getattr(import_module(f"monai_rwcp.commands.{module}"), module), name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="monai-rwcp")
def main() -> None:
    """Prediction sets with a statistical promise for MONAI segmentation networks."""
    # Names may have letters that the output has not, as in a file of Windows: these are written out.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
