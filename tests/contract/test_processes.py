"""Calibration by two processes is the calibration of one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import torch
import torch.distributed
import torch.multiprocessing
from ignite.engine import Engine

from monai_rwcp import Calibration, ConformalCalibrationHandler


def items() -> list[dict]:
    generator = torch.Generator().manual_seed(4)
    return [
        {
            "pred": torch.softmax(3 * torch.randn(3, 6, 6, generator=generator), 0),
            "label": torch.randint(0, 3, (1, 6, 6), generator=generator),
            "patient": f"patient {i // 2}",
            "case": f"slice {i}",
        }
        for i in range(24)
    ]


def calibrate(data: list[dict], path: Path) -> Calibration:
    handler = ConformalCalibrationHandler(alpha=0.3, unit_key="patient", case_key="case", output_path=path)
    engine = Engine(lambda engine, item: [item])
    handler.attach(engine)
    engine.run(data)
    return handler.calibration


def worker(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    data = items()
    # Uneven shares, patients spread over both processes, and slices 0 and 5 seen by both.
    share = [*data[0:17:2], data[5]] if rank == 0 else [*data[1::2], *data[18::2], data[0]]
    found = calibrate(share, Path(folder) / f"by_{rank}.json")
    found.save(Path(folder) / f"result_{rank}.json")
    torch.distributed.destroy_process_group()


def test_two_processes(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(worker, (port, str(tmp_path)), nprocs=2)
    single = calibrate(items(), tmp_path / "single.json")
    assert single.n == {1: 12, 2: 12}
    for rank in (0, 1):
        found = Calibration.load(tmp_path / f"result_{rank}.json")
        assert found.classes == single.classes
        assert found.n_images == 24
    assert (tmp_path / "by_0.json").exists()
    assert not (tmp_path / "by_1.json").exists()
