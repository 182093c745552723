"""Full precision for several threads at once, and the user's own settings afterwards."""

from __future__ import annotations

import threading

import pytest
import torch

from monai_rwcp.walk import WalkSettings, diffuse_probabilities
from monai_rwcp.walk.precision import full_precision


@pytest.fixture
def precision() -> str:
    return torch.backends.mkldnn.matmul.fp32_precision


def test_the_last_thread_out_turns_the_switch_back(precision: str) -> None:
    """The first one leaves while the second is inside, which needs its products whole."""
    entered, left = threading.Event(), threading.Event()
    seen = []

    def second() -> None:
        with full_precision():
            entered.set()
            left.wait(10)
            seen.append(torch.backends.mkldnn.matmul.fp32_precision)

    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        thread = threading.Thread(target=second)
        with full_precision():
            thread.start()
            assert entered.wait(10)
        left.set()
        thread.join()
        assert seen == ["ieee"]
        assert torch.backends.mkldnn.matmul.fp32_precision == "bf16"
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = precision


def test_an_error_inside_leaves_the_users_setting(precision: str) -> None:
    with pytest.raises(KeyError), full_precision():
        raise KeyError
    assert torch.backends.mkldnn.matmul.fp32_precision == precision


def test_a_walk_under_autocast_is_the_walk_without() -> None:
    probabilities, features = torch.softmax(torch.randn(2, 16, 16), dim=0), torch.randn(4, 8, 8)
    settings = WalkSettings(k=5, n_steps=3, spatial_weight=1.0, center=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        walked = diffuse_probabilities(probabilities, features, settings)
    assert torch.equal(walked, diffuse_probabilities(probabilities, features, settings))
