"""What tests that run bundles share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from monai.utils import set_determinism


@pytest.fixture(scope="module")
def bundle_runs() -> Iterator[None]:
    """Run small networks on one thread, which is faster, and take back the seed that a bundle sets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)
