"""Files appear whole or not at all, also when the process that writes them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monai_rwcp.utils import files
from monai_rwcp.utils.files import written_whole


def test_a_failure_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "c.json"
    target.write_text("old")

    def fail() -> None:
        with written_whole(target) as temporary:
            temporary.write_text("half")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["c.json"]


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_killed_while_writing_keeps_the_old_file(kill: signal.Signals, tmp_path: Path) -> None:
    target = tmp_path / "c.json"
    target.write_text("old")
    # The module alone, which needs nothing but the standard library, starts in no time.
    program = f"""
import os, runpy
with runpy.run_path({files.__file__!r})["written_whole"]({str(target)!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), {int(kill)})
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -kill, ended.stderr
    assert target.read_text() == "old"
    # A killed process cleans up nothing; what is left says by its name that it is no result.
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2
    assert left[0].startswith(".unfinished-")
    with written_whole(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"
