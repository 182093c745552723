"""The page "Start", followed to the letter."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nibabel", reason="the commands need the extra demo")
pytest.importorskip("matplotlib", reason="the report needs the extra report")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "start.md"


@pytest.mark.slow
def test_the_page_does_and_prints_what_it_says(tmp_path: Path) -> None:
    text = PAGE.read_text()
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=300)
    commands = re.findall(r"^monai-rwcp (.*)$", text, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["calibrate", "predict", "evaluate", "report"]
    for command in commands:
        ran = subprocess.run(
            [sys.executable, "-m", "monai_rwcp", *shlex.split(command)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stderr
        for line in ran.stdout.split("\n"):
            assert _figures(line) in _figures(text), line
    assert (tmp_path / "report.html").stat().st_size > 100_000


def _figures(text: str) -> str:
    """Figures to two digits: the last ones are rounded otherwise on another machine."""
    return re.sub(r"0\.\d{4,}", lambda found: f"{float(found[0]):.2f}", text)
