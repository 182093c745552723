"""A bad map stops no other, two runs do not write in one folder, and an exchanged set is noticed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.locks import FileLock
from tests.helpers.map_folders import calibrated_cohort, run, save, truth_and_map
from tests.helpers.processes import command_in_processes

N = 30


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    calibrated_cohort(folder, [f"c{i:02d}" for i in range(N)])
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "study", copy_function=shutil.copy2))


def predicting(folder: Path, out: str = "sets") -> list[object]:
    maps = ["predict", folder / "maps", "--form", "channels-last", "--calibration", folder / "c.json"]
    return [*maps, "--out", folder / out]


def sets(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".nii.gz") for path in (folder / "sets").glob("*.nii.gz"))


def logged(folder: Path) -> list[str]:
    return sorted(json.loads((folder / "sets/run.json").read_text())["cases"])


def spoil(folder: Path) -> dict[str, str]:
    """Bad maps of several kinds, and what is to be said of each."""
    maps = folder / "maps"
    values = truth_and_map(3)[1]
    values[2, 2, 2, 1] = np.nan  # one voxel of one of thirty
    save(values, maps / "c03.nii.gz")
    (maps / "c11.nii.gz").write_bytes((maps / "c11.nii.gz").read_bytes()[:-4])
    save(truth_and_map(12)[1][..., :2], maps / "c12.nii.gz")
    (maps / "c20.nii.gz").write_bytes(b"")
    save(truth_and_map(25)[1] * 100, maps / "c25.nii.gz")
    return {"c03": "nan", "c11": "cannot be read", "c12": "channels", "c20": "cannot be read", "c25": ""}


@pytest.mark.parametrize("processes", [1, 3])
def test_bad_maps_stop_no_other(processes: int, folder: Path) -> None:
    bad = spoil(folder)
    if processes == 1:
        ran = run(*predicting(folder))
        code, said = ran.exit_code, ran.output
    else:
        shared = command_in_processes(processes, folder, *predicting(folder))
        code, said = shared.returncode, shared.stdout + shared.stderr
    assert code != 0
    for name, why in bad.items():
        line = next(line for line in said.splitlines() if f"{name}.nii.gz'" in line)
        assert why in line.lower()
    assert "No set was made of 5 of 30 maps" in said
    assert len(sets(folder)) == N - len(bad)
    assert not set(sets(folder)) & set(bad)
    assert logged(folder) == sets(folder)
    made = {path: path.stat().st_mtime_ns for path in (folder / "sets").glob("*.nii.gz")}
    for name in bad:
        save(truth_and_map(int(name[1:]))[1], folder / "maps" / f"{name}.nii.gz")
    ran = run(*predicting(folder))
    assert ran.exit_code == 0, ran.output
    assert len(sets(folder)) == N
    assert logged(folder) == sets(folder)
    assert all(path.stat().st_mtime_ns == at for path, at in made.items())


def test_a_map_that_has_become_bad_leaves_no_set_of_what_it_was(folder: Path) -> None:
    assert run(*predicting(folder)).exit_code == 0
    bad = spoil(folder)
    assert run(*predicting(folder)).exit_code == 1
    assert sorted(set(sets(folder)) | set(bad)) == [f"c{i:02d}" for i in range(N)]
    assert not set(sets(folder)) & set(bad)
    assert logged(folder) == sets(folder)


def test_where_every_map_is_bad_ten_are_named(folder: Path) -> None:
    for path in (folder / "maps").iterdir():
        path.write_bytes(b"no")
    ran = run(*predicting(folder))
    assert ran.exit_code == 1
    assert ran.output.count("cannot be read") == 10
    assert "and 20 more" in ran.output
    assert sets(folder) == []


def exchanged(folder: Path) -> None:
    """Two sets of the same shape change places."""
    first, second = folder / "sets/c04.nii.gz", folder / "sets/c05.nii.gz"
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


def one_voxel(folder: Path) -> None:
    image = nibabel.load(folder / "sets/c04.nii.gz")
    values = np.asarray(image.dataobj).copy()
    values[0, 0, 0, 1] = 1 - values[0, 0, 0, 1]
    nibabel.save(nibabel.Nifti1Image(values, image.affine), folder / "sets/c04.nii.gz")


@pytest.mark.parametrize("change", [exchanged, one_voxel])
def test_one_set_of_thirty_that_is_another_is_noticed(change, folder: Path) -> None:
    assert run(*predicting(folder)).exit_code == 0
    common = [folder / "sets", "--labels", folder / "labels", "--calibration", folder / "c.json"]
    for command in (["evaluate", *common], ["report", *common, "--worst", 0, "--out", folder / "before.html"]):
        ran = run(*command)
        assert ran.exit_code == 0, ran.output
    change(folder)
    for command in (["evaluate", *common], ["report", *common, "--worst", 0, "--out", folder / "after.html"]):
        ran = run(*command)
        assert ran.exit_code == 1
        assert "c04.nii.gz' is not what predict wrote" in ran.output.replace("\n", " ")
    assert not (folder / "after.html").exists()
    # Sets that nobody kept a log of are measured as they are.
    (folder / "sets/run.json").unlink()
    assert run("evaluate", *common).exit_code == 0


def holding(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder's lock."""
    program = (
        "import sys, time; from pathlib import Path; from monai_rwcp.utils.locks import FileLock\n"
        f"lock = FileLock(Path({str(folder)!r}) / '.run.lock', 'it'); print('held', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_refused_until_the_first_ends_or_is_killed(folder: Path) -> None:
    (folder / "sets").mkdir()
    other = holding(folder / "sets")
    try:
        for more in ((), ("--overwrite",)):
            ran = run(*predicting(folder), *more)
            assert ran.exit_code == 1
            assert f"is written by process {other.pid} on '" in ran.output
            assert sorted(path.name for path in (folder / "sets").iterdir()) == [".run.lock"]
        shared = command_in_processes(2, folder, *predicting(folder))
        assert shared.returncode != 0
        assert f"process {other.pid}" in shared.stderr
    finally:
        other.kill()
        other.wait(timeout=60)
    assert (folder / "sets/.run.lock").exists()
    ran = run(*predicting(folder))
    assert ran.exit_code == 0, ran.output
    assert not list((folder / "sets").glob(".*"))


def test_a_lock_goes_from_hand_to_hand(tmp_path: Path) -> None:
    first = FileLock(tmp_path / "lock", "'here'")
    with pytest.raises(FileExistsError, match=f"'here' is written by process {os.getpid()}"):
        FileLock(tmp_path / "lock", "'here'")
    first.release()
    first.release()
    second = FileLock(tmp_path / "lock", "'here'")
    first.release()
    with pytest.raises(FileExistsError):
        FileLock(tmp_path / "lock", "'here'")
    second.release()
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_goes_and_nothing_else(folder: Path) -> None:
    out = folder / "sets"
    out.mkdir()
    ours = [".unfinished-abcd1_x2.nii.gz", ".unfinished-00000000.json"]
    others = [".unfinished-notes", ".unfinished-abcd1_x2.nii.gz.bak", ".unfinished-ABCD1234.json"]
    for name in (*ours, *others):
        (out / name).touch()
    (folder / ".unfinished-abcd1_x2.json").touch()
    (folder / "maps/.unfinished-abcd1_x2.nii.gz").touch()
    assert run(*predicting(folder)).exit_code == 0
    assert sorted(path.name for path in out.glob(".*")) == sorted(others)
    assert (folder / ".unfinished-abcd1_x2.json").exists()
    assert (folder / "maps/.unfinished-abcd1_x2.nii.gz").exists()


def test_a_run_that_is_killed_goes_on(folder: Path) -> None:
    command = [sys.executable, "-m", "monai_rwcp", *map(str, predicting(folder))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list((folder / "sets").glob("*.nii.gz"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=60)
    left = len(sets(folder))
    ran = run(*predicting(folder))
    assert ran.exit_code == 0, ran.output
    assert left >= 2
    assert len(sets(folder)) == N
    assert logged(folder) == sets(folder)
    assert not list((folder / "sets").glob(".*"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file(number: int, tmp_path: Path) -> None:
    def write() -> None:
        with written_whole(tmp_path / "result.json"):
            raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match="result.json") as full:
        write()
    assert full.value.errno == number
    assert not list(tmp_path.iterdir())


def test_a_full_disk_stops_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(nibabel, "save", full)
    ran = run(*predicting(folder))
    assert ran.exit_code == 1
    assert "No space left on device: " in ran.output
    assert "sets/c00.nii.gz" in ran.output
    assert "c01" not in ran.output
    monkeypatch.undo()
    assert run(*predicting(folder)).exit_code == 0
