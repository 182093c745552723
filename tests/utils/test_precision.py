"""Full precision whatever is allowed elsewhere, for several threads at once, and the user's own settings afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from monai_rwcp.scores import BlurredScore
from monai_rwcp.utils.older_versions import PRODUCTS_IN_FULL, product_precisions, set_product_precisions
from monai_rwcp.utils.precision import full_precision
from monai_rwcp.walk import WalkSettings, diffuse_probabilities, resample_to_grid
from tests.helpers.precisions import BF16


@pytest.fixture(autouse=True)
def allowed_bf16() -> Iterator[None]:
    before = product_precisions()
    set_product_precisions(BF16)
    yield
    set_product_precisions(before)


@pytest.mark.parametrize(
    ("product", "move"),
    [
        ((torch, "bmm"), lambda x: resample_to_grid(x, (4, 16))),
        ((torch.Tensor, "__matmul__"), lambda x: resample_to_grid(x, (4, 16))),
        ((torch.Tensor, "__matmul__"), lambda x: BlurredScore(1.0).make(x)),
    ],
)
def test_maps_are_moved_and_blurred_with_all_digits(
    product: tuple[Any, str], move: Callable[[torch.Tensor], torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    multiply = getattr(*product)

    def recorded(*matrices: torch.Tensor) -> torch.Tensor:
        seen.add(product_precisions())
        return multiply(*matrices)

    monkeypatch.setattr(*product, recorded)
    x = torch.rand(2, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = move(x)
    assert torch.equal(made, move(x))
    assert made.dtype == torch.float32
    assert product_precisions() == BF16
    assert seen == {PRODUCTS_IN_FULL}


def test_the_last_thread_out_turns_the_switch_back() -> None:
    """The first one leaves while the second is inside, which needs its products whole."""
    entered, left = threading.Event(), threading.Event()
    seen = []

    def second() -> None:
        with full_precision():
            entered.set()
            left.wait(10)
            seen.append(product_precisions())

    thread = threading.Thread(target=second)
    with full_precision():
        thread.start()
        assert entered.wait(10)
    left.set()
    thread.join()
    assert seen == [PRODUCTS_IN_FULL]
    assert product_precisions() == BF16


def test_an_error_inside_leaves_the_users_setting() -> None:
    with pytest.raises(KeyError), full_precision():
        raise KeyError
    assert product_precisions() == BF16


def test_a_walk_under_autocast_is_the_walk_without() -> None:
    probabilities, features = torch.softmax(torch.randn(2, 16, 16), dim=0), torch.randn(4, 8, 8)
    settings = WalkSettings(k=5, n_steps=3, spatial_weight=1.0, center=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        walked = diffuse_probabilities(probabilities, features, settings)
    assert torch.equal(walked, diffuse_probabilities(probabilities, features, settings))
