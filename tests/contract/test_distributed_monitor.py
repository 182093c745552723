"""Two processes share the cases: reference and verdict are those of one, and only the first process writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_rwcp import CaseSummaryHandler, ExchangeabilityMonitorHandler
from monai_rwcp.monitoring import CaseSummaries
from tests.helpers.engines import run_bare
from tests.helpers.processes import in_processes


def _cases(first: int, last: int) -> list[dict[str, Any]]:
    cases = []
    for i in range(first, last):
        # torch's own random numbers and softmax differ in the last bit with the number of threads.
        share = np.random.default_rng(i).uniform(size=(6, 6)).astype(np.float32)
        score = torch.from_numpy(np.stack([1 - share, share]))
        cases.append({"pred": score, "patient": f"p{i}", "case": f"c{i}"})
    return cases


def _both(batches: Any, folder: Path, rank: int) -> None:
    """A calibration run and two deployed runs."""
    handler = CaseSummaryHandler(unit_key="patient", case_key="case", output_path=folder / "reference.json")
    run_bare(handler, batches(0, 21))
    for first, last in ((21, 30), (30, 41)):
        monitor = ExchangeabilityMonitorHandler(
            handler.summaries, folder / "verdict.json", unit_key="patient", case_key="case"
        )
        run_bare(monitor, batches(first, last))
    (folder / f"martingale_{rank}.txt").write_text(repr(monitor.monitor.martingale))


def _process(rank: int, folder: str) -> None:
    def dealt(first: int, last: int) -> list[list[dict[str, Any]]]:
        cases = _cases(first, last)
        # As a sampler deals them out: every second one, and the first again where they do not come out even.
        return [(cases + cases[: len(cases) % 2])[rank::2]]

    _both(dealt, Path(folder), rank)


def test_two_processes_judge_as_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    _both(lambda first, last: [_cases(first, last)], one, 0)
    in_processes(2, _process, str(two))
    assert CaseSummaries.load(two / "reference.json") == CaseSummaries.load(one / "reference.json")
    documents = [json.loads((folder / "verdict.json").read_text()) for folder in (one, two)]
    for document in documents:
        assert document["n_cases"] == 20
        for case in document["cases"]:
            del case["date"]
    assert documents[0]["cases"] == documents[1]["cases"]
    expected = (one / "martingale_0.txt").read_text()
    assert [(two / f"martingale_{rank}.txt").read_text() for rank in (0, 1)] == [expected, expected]
