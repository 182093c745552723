"""Running the lines of a bundle's README as they stand there."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

BUNDLE = Path(__file__).parents[2] / "tutorials" / "bundle"
README = BUNDLE / "docs" / "README.md"


def documented_commands() -> list[list[list[str]]]:
    """The command lines of each block of commands, split into words."""
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    return [[shlex.split(line) for line in block.splitlines()] for block in blocks]


def documented_configs() -> dict[str, str]:
    """The text of each configuration that the guide gives, by its file's name."""
    found = {}
    for text, block in re.findall(r"([^`]*(?:`[^`\n]+`[^`]*)*)```json\n(.*?)```", README.read_text(), re.DOTALL):
        found[re.findall(r"`configs/(\w+\.json)`", text)[-1]] = block
    return found


def run_command(words: list[str], folder: Path, *overrides: str) -> None:
    """Run ``python -m module ...`` in this process, in another working folder."""
    assert words[:2] == ["python", "-m"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", [words[2], *words[3:], *overrides])
        # MONAI adds the bundle's root.
        patch.setattr(sys, "path", list(sys.path))
        runpy.run_module(words[2], run_name="__main__", alter_sys=False)
