"""Files appear whole or not at all, also when the process that writes them is killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monai_rwcp.commands.outputs import claim_calibration, claim_new_file
from monai_rwcp.utils import files
from monai_rwcp.utils.files import remove_unfinished, written_whole
from monai_rwcp.utils.locks import FileLock


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


# Windows knows no signals: there a process is ended in one way, with any number as its exit code.
KILLS = ["SIGTERM"] if sys.platform == "win32" else ["SIGTERM", "SIGKILL"]


@pytest.mark.parametrize("name", KILLS)
def test_a_process_killed_while_writing_keeps_the_old_file(name: str, tmp_path: Path) -> None:
    kill = getattr(signal, name)
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
    assert ended.returncode == (kill if sys.platform == "win32" else -kill), ended.stderr
    assert target.read_text() == "old"
    # A killed process cleans up nothing; what is left says by its name that it is no result.
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2
    assert left[0].startswith(".unfinished-")
    with written_whole(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_what_a_killed_process_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    left = tmp_path / ".unfinished-abcd1_x2.json"
    left.write_text("half")
    others = [tmp_path / name for name in (".unfinished-notes.json", "unfinished-abcd1_x2.json")]
    for path in others:
        path.write_text("mine")
    with written_whole(tmp_path / "c.json") as temporary:
        remove_unfinished(tmp_path)
        assert temporary.exists()
        assert not left.exists()
        program = f"""
import runpy
runpy.run_path({files.__file__!r})["remove_unfinished"](__import__("pathlib").Path({str(tmp_path)!r}))
"""
        # Another process sees the lock, too.
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
        temporary.write_text("whole")
    assert (tmp_path / "c.json").read_text() == "whole"
    assert [path.exists() for path in others] == [True, True]


def test_a_command_clears_what_killed_runs_left_beside_its_file(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "elsewhere"):
        folder.mkdir(exist_ok=True)
        (folder / ".unfinished-abcd1_x2.json").write_text("half")
    claim_new_file(tmp_path / "c.json")
    claim_calibration(tmp_path / "c.json", overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
    assert (tmp_path / "elsewhere" / ".unfinished-abcd1_x2.json").exists()
    with pytest.raises(FileExistsError, match="exists"):
        claim_new_file(tmp_path / "elsewhere")


def test_a_lock_on_a_full_disk_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    lock = tmp_path / ".lock"
    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*\.lock'"):
            FileLock(lock, "the folder")
    assert not lock.exists()
    FileLock(lock, "the folder").release()
