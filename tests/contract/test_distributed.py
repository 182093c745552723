"""Calibrating with two processes, one of which has no case: both get what one process gets, and neither waits."""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed
import torch.multiprocessing
from ignite.engine import Engine
from monai.data import MetaTensor

from monai_rwcp import Calibration, ConformalCalibrationHandler


def _cases() -> list[dict[str, Any]]:
    """Twelve images of eight patients, known by the file names in their meta data alone."""
    generator = torch.Generator().manual_seed(4)
    cases = []
    for i in range(12):
        score = torch.softmax(3 * torch.randn(3, 6, 6, generator=generator), dim=0)
        label = torch.randint(0, 3, (1, 6, 6), generator=generator)
        meta = {"filename_or_obj": f"/data/slice_{i}.nii.gz"}
        cases.append({"pred": MetaTensor(score, meta=meta), "label": label, "patient": f"p{i % 8}"})
    return cases


def _calibrate(batches: list[list[dict[str, Any]]], path: Path) -> Calibration:
    handler = ConformalCalibrationHandler(alpha=0.3, unit_key="patient", output_path=path)
    engine = Engine(lambda engine, batch: batch)
    handler.attach(engine)
    engine.run(batches)
    return handler.calibration


def _uneven(rank: int) -> list[list[dict[str, Any]]]:
    cases = _cases()
    return [cases[:5], cases[5:9]] if rank == 0 else [[*cases[9:], cases[2]]]


def _none_on_the_second(rank: int) -> list[list[dict[str, Any]]]:
    return [_cases()] if rank == 0 else [[]]


def _none_on_the_first(rank: int) -> list[list[dict[str, Any]]]:
    return [[]] if rank == 0 else [_cases()]


SHARES: dict[str, Callable[[int], list[list[dict[str, Any]]]]] = {
    "uneven": _uneven,
    "none on the second": _none_on_the_second,
    "none on the first": _none_on_the_first,
}


def _join(rank: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    timeout = datetime.timedelta(seconds=60)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2, timeout=timeout)


def _all_shares(rank: int, port: int, folder: str) -> None:
    _join(rank, port)
    for number, share in enumerate(SHARES.values()):
        found = _calibrate(share(rank), Path(folder) / f"{number}_written_by_{rank}.json")
        found.save(Path(folder) / f"{number}_found_by_{rank}.json")
    _refusals(rank, Path(folder))
    torch.distributed.destroy_process_group()


def _refusals(rank: int, folder: Path) -> None:
    handler = ConformalCalibrationHandler(alpha=0.3)
    engine = Engine(lambda engine, batch: batch)
    handler.attach(engine)
    nameless = [{**case, "pred": case["pred"].as_tensor()} for case in _cases()]
    try:
        engine.run([nameless])
    except ValueError as error:
        (folder / f"nameless_{rank}.txt").write_text(str(error))
    nothing = ConformalCalibrationHandler(alpha=0.3)
    engine = Engine(lambda engine, batch: batch)
    nothing.attach(engine)
    try:
        engine.run([[]])
    except ValueError as error:
        (folder / f"nothing_{rank}.txt").write_text(str(error))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left behind, after all ways of sharing the cases."""
    found = tmp_path_factory.mktemp("processes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(_all_shares, (port, str(found)), nprocs=2)
    return found


@pytest.mark.parametrize("share", SHARES)
def test_both_get_the_calibration_of_one_process(share: str, folder: Path, tmp_path: Path) -> None:
    number = list(SHARES).index(share)
    single = _calibrate([_cases()], tmp_path / "single.json")
    assert single.n == {1: 8, 2: 8}
    assert 0 < single.threshold[1] < 1
    for rank in (0, 1):
        found = Calibration.load(folder / f"{number}_found_by_{rank}.json")
        assert found.classes == single.classes
        assert found.provenance == single.provenance
        assert found.n_images == 12


@pytest.mark.parametrize("share", SHARES)
def test_only_the_first_process_writes(share: str, folder: Path) -> None:
    number = list(SHARES).index(share)
    written = [path.name for path in folder.glob(f"{number}_written_by_*")]
    assert written == [f"{number}_written_by_0.json"]
    found = Calibration.load(folder / f"{number}_found_by_0.json")
    assert Calibration.load(folder / written[0]).classes == found.classes


@pytest.mark.parametrize("rank", [0, 1])
def test_cases_without_a_name_are_refused(rank: int, folder: Path) -> None:
    assert "Several processes share the cases" in (folder / f"nameless_{rank}.txt").read_text()
    assert "give `case_key`" in (folder / f"nameless_{rank}.txt").read_text()


@pytest.mark.parametrize("rank", [0, 1])
def test_no_case_at_all_is_told_in_both(rank: int, folder: Path) -> None:
    assert "ran over no case" in (folder / f"nothing_{rank}.txt").read_text()
