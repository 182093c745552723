"""Calibrates under `torchrun`, as a user's script would; test_torchrun.py starts it and imports the single process."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from monai.data import DataLoader, Dataset, MetaTensor, partition_dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose, Lambdad
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data.distributed import DistributedSampler

from monai_rwcp import ConformalCalibrationHandler, NetworkProvenanced
from tests.helpers.networks import ClassDistance

N_CASES = 46


def cases() -> list[dict[str, Any]]:
    """Two slices, next to each other, of each of 23 patients of two scanners, with headers that round differently."""
    generator = torch.Generator().manual_seed(2)
    items = []
    for i in range(N_CASES):
        label = torch.randint(0, 3, (1, 6, 6), generator=generator).float()
        image = label + torch.randn(1, 6, 6, generator=generator)
        affine = torch.diag(torch.tensor([1.5 + 1e-5 * (i % 7), 1.5, 1.0, 1.0]))
        patient = i // 2
        items.append({"image": MetaTensor(image, affine=affine), "label": label, "slice": f"slice {i}"})
        items[-1] |= {"patient": f"patient {patient}", "scanner": "AB"[patient % 2]}
    return items


class Job:
    """One evaluator with two handlers: by group, and inner sets; `finish` is called whether or not there are cases."""

    def __init__(self, loader: Any, folder: Path, network: torch.nn.Module, transform: Any = None) -> None:
        self.folder = folder
        shared: dict[str, Any] = {"alpha": 0.3, "unit_key": "patient", "case_key": "slice"}
        self.handlers = {
            "outer": ConformalCalibrationHandler(group_key="scanner", output_path=folder / "outer.json", **shared),
            "inner": ConformalCalibrationHandler(loss="inner", output_path=folder / "inner.json", **shared),
        }
        self.evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=loader,
            network=network,
            postprocessing=Compose(
                [
                    Activationsd("pred", softmax=True),
                    NetworkProvenanced("pred", network),
                    *([] if transform is None else [transform]),
                ]
            ),
            val_handlers=list(self.handlers.values()),
        )

    def run(self) -> None:
        self.evaluator.run()
        for handler in self.handlers.values():
            handler.finish()

    def save(self, name: str) -> None:
        """Write what this process found; the handlers write into the same folder."""
        for kind, handler in self.handlers.items():
            handler.calibration.save(self.folder / f"{kind}_found_{name}.json")
            handler.table.save(self.folder / f"{kind}_table_{name}.json")


def loader(items: Sequence[Any], batch_size: int = 4, **options: Any) -> Any:
    return DataLoader(Dataset(items), batch_size=batch_size, **options)


def single(folder: Path) -> None:
    """What one process finds."""
    job = Job(loader(cases()), folder, ClassDistance(2.0))
    job.run()
    job.save("alone")


def padded(rank: int, size: int) -> Any:
    """Cases evened out with duplicates, in another order."""
    data = Dataset(cases())
    sampler: Any = DistributedSampler(data, num_replicas=size, rank=rank, shuffle=True, seed=3)
    return DataLoader(data, batch_size=5, sampler=sampler)


def uneven(rank: int, size: int) -> Any:
    """A few cases for the first process, and one case for two of them."""
    items = cases()
    shares = [items[:3], *partition_dataset(items[3:], num_partitions=size - 1, even_divisible=False)]
    return loader([*shares[rank], items[20]])


def first_idle(rank: int, size: int) -> Any:
    """No case for the process that writes."""
    return loader([] if rank == 0 else cases()[rank - 1 :: size - 1])


def last_idle(rank: int, size: int) -> Any:
    """No case for the last process, and the others have theirs backwards."""
    return loader([] if rank == size - 1 else cases()[::-1][rank :: size - 1])


SHARES = {"padded": padded, "uneven": uneven, "first idle": first_idle, "last idle": last_idle}


def several(rank: int, size: int, folder: Path) -> None:
    """Share the cases in every way, and run each evaluator twice."""
    network = DistributedDataParallel(ClassDistance(2.0))
    for name, share in SHARES.items():
        (folder / name).mkdir(exist_ok=True)
        job = Job(share(rank, size), folder / name, network)
        for run in ("first", "second"):
            job.run()
            job.save(f"{rank}_{run}")


def broken(rank: int, size: int, folder: Path) -> None:
    """The last process fails in a transform when it has counted some cases."""
    counted = 0

    def fail(score: torch.Tensor) -> torch.Tensor:
        nonlocal counted
        counted += 1
        if rank == size - 1 and counted == 6:
            raise ValueError("this case is broken")
        return score

    Job(uneven(rank, size), folder, ClassDistance(2.0), Lambdad("pred", fail)).run()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=90))
    for name in sys.argv[2:]:
        (Path(sys.argv[1]) / name).mkdir(exist_ok=True)
        what = {"several": several, "broken": broken}[name]
        what(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), Path(sys.argv[1]) / name)
        print(f"{name}: done", flush=True)
    torch.distributed.destroy_process_group()
