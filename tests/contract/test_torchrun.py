"""`torchrun` with 2 and 3 processes finds what one process finds, byte for byte, and a failure leaves old files whole."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torchrun_calibration

from monai_rwcp import Calibration
from tests.helpers.processes import torchrun

SCRIPT = Path(torchrun_calibration.__file__)


def _timeless(path: Path) -> bytes:
    """A file without the time it was made at and the digest that covers it."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith((b'  "created":', b'  "digest":'))]
    assert len(kept) == len(lines) - 2
    return b"".join(kept)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    folder = tmp_path_factory.mktemp("alone")
    torchrun_calibration.single(folder)
    return folder


Jobs = dict[int, tuple[subprocess.CompletedProcess[str], Path]]
OLD = {"outer.json": b"an old calibration", "inner.json": b"another"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Jobs:
    """Two processes that share the cases, and three of which one fails when they have done so."""
    found: Jobs = {}
    for n, what in ((2, ["several"]), (3, ["several", "broken"])):
        folder = tmp_path_factory.mktemp("several")
        (folder / "broken").mkdir()
        for name, text in OLD.items():
            (folder / "broken" / name).write_bytes(text)
        found[n] = torchrun(n, SCRIPT, folder, *what), folder
    return found


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3])
def test_every_process_finds_what_one_process_finds(n: int, alone: Path, jobs: Jobs) -> None:
    ran, folder = jobs[n]
    assert ran.stdout.count("several: done") == n, ran.stderr
    assert (ran.returncode == 0) == (n == 2), ran.stderr
    for share in torchrun_calibration.SHARES:
        own = folder / "several" / share
        for kind in ("outer", "inner"):
            expected, table = _timeless(alone / f"{kind}.json"), (alone / f"{kind}_table_alone.json").read_bytes()
            assert _timeless(own / f"{kind}.json") == expected, share
            for rank in range(n):
                for run in ("first", "second"):
                    assert _timeless(own / f"{kind}_found_{rank}_{run}.json") == expected, (share, rank, run)
                    assert (own / f"{kind}_table_{rank}_{run}.json").read_bytes() == table, (share, rank, run)
        # Nothing unfinished lies about: two calibrations, and for each process two files of two handlers twice.
        assert len(os.listdir(own)) == 2 + 8 * n


def test_the_single_process_has_something_to_compare(alone: Path) -> None:
    outer, inner = (Calibration.load(alone / f"{kind}.json") for kind in ("outer", "inner"))
    assert outer.n == {1: 23, 2: 23}
    assert outer.n_images == inner.n_images == torchrun_calibration.N_CASES
    assert outer.groups is not None
    assert {group: entries[1].n for group, entries in outer.groups.items()} == {"A": 12, "B": 11}
    assert 0 < outer.threshold[1] < 1
    assert 0 < inner.threshold[1] < 1
    assert len({outer.threshold[1], inner.threshold[1], *(of[1].threshold for of in outer.groups.values())}) == 4


@pytest.mark.slow
def test_a_process_that_fails_ends_the_job_and_old_files_stay(jobs: Jobs) -> None:
    ran, folder = jobs[3]
    assert ran.returncode != 0
    assert "this case is broken" in ran.stderr
    assert "broken: done" not in ran.stdout
    assert {path.name: path.read_bytes() for path in (folder / "broken").iterdir()} == OLD
