"""Names with letters that the output's encoding has not, as in Windows, are written out and stop no command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("encoding", "shown"), [("cp1252", "\\u0417\\u043e\\u043d\\u0430"), ("utf-8", "Зона")])
def test_a_name_is_shown_as_the_output_can(encoding: str, shown: str, tmp_path: Path) -> None:
    for folder in ("maps", "labels"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Зона.nii.gz").touch()
    command = ["calibrate", "maps", "--form", "channels-last", "--labels", "labels", "--dry-run", "--out", "c.json"]
    ran = subprocess.run(
        [sys.executable, "-m", "monai_rwcp", *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert shown in ran.stdout.decode(encoding)
