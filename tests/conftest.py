"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# They hold no examples, and collected as modules of their bare names they stand in each other's way.
collect_ignore_glob = ["conftest.py", "*/conftest.py", "helpers/*"]

REPOSITORY = Path(__file__).resolve().parents[1]

# Several processes of tests, each with several threads, would wait for one another.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))


@pytest.fixture
def shared_dir() -> Path:
    """The folder of real data and weights beside the repository, where there is one."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the real data and weights in ../shared, which are not part of the project")
    return folder
