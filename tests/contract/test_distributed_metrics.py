"""Metrics of sets that two processes share: both find what one process finds, a process without images, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_rwcp import PredictionSetMetrics
from tests.helpers.processes import in_processes


def _filled(numbers: list[int]) -> PredictionSetMetrics:
    generator = torch.Generator().manual_seed(5)
    found, truth = (torch.rand(9, 3, 6, 6, generator=generator) < share for share in (0.4, 0.3))
    metric = PredictionSetMetrics(alpha=0.1)
    for i in numbers:
        metric(found[[i]], truth[[i]], images=[f"i{i}"], units=[f"p{i // 2}"], strata=["AB"[i % 2]])
    return metric


SHARES = [[[0, 1, 2, 3], [4, 5, 6, 7, 8]], [[0, 1, 2, 3, 4, 5, 6, 7, 8], []], [[], list(range(9))]]
SHARES += [[[0, 2, 4, 6, 8], [1, 3, 5, 7, 0]]]


def _share(rank: int, folder: str) -> None:
    for number, share in enumerate(SHARES):
        metric = _filled(share[rank])
        torch.save((metric.aggregate(), metric.by_stratum(), metric.per_image()), f"{folder}/{number}_{rank}.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("processes")
    in_processes(2, _share, str(found))
    return found


@pytest.mark.parametrize("number", range(len(SHARES)))
def test_both_find_what_one_process_finds(number: int, folder: Path) -> None:
    single = _filled(list(range(9)))
    for rank in (0, 1):
        figures, strata, images = torch.load(folder / f"{number}_{rank}.pt")
        for name, value in single.aggregate().items():
            assert torch.allclose(figures[name], value, rtol=1e-12, equal_nan=True), name
        for name, value in single.by_stratum().items():
            assert torch.allclose(strata[name], value, rtol=1e-12), name
        order = [i for of_process in SHARES[number] for i in of_process]
        assert torch.equal(images["stretch"], single.per_image()["stretch"][order])
