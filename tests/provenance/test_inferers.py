"""The record of an inferer: what changes values is in it, what does not is not, and a calibration names it."""

from __future__ import annotations

import json
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import (
    AvgMerger,
    PatchInferer,
    SimpleInferer,
    SliceInferer,
    SlidingWindowInferer,
    SlidingWindowInfererAdapt,
    SlidingWindowSplitter,
    sliding_window_inference,
)

from monai_rwcp import ConformalThresholdd, LossTable, NetworkProvenanced, false_negative_rate_table
from monai_rwcp.conformal import calibrate
from monai_rwcp.provenance import completed_record, inferer_record, record_of, weights_hash
from monai_rwcp.provenance.inferers import flips_record

BASE: dict[str, Any] = {"roi_size": (6, 6), "overlap": 0.25, "mode": "gaussian", "sigma_scale": 0.125}


def network(kernel: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Conv2d(1, 2, kernel, padding=kernel // 2)


def run(inferer: Any, shape: tuple[int, ...] = (13, 4)) -> torch.Tensor:
    image = torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        result: torch.Tensor = inferer(image, network())
    return result


def test_a_sliding_window_in_full() -> None:
    assert inferer_record(SlidingWindowInferer((96, 96, 32), 4, 0.5, mode="gaussian")) == {
        "class": "SlidingWindowInferer", "roi_size": [96, 96, 32], "overlap": 0.5, "mode": "gaussian",
        "sigma_scale": 0.125, "padding_mode": "constant", "cval": 0.0, "with_coord": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        SlidingWindowInferer(**BASE),
        SlidingWindowInferer(**BASE | {"roi_size": 6}),
        SlidingWindowInferer(**BASE | {"roi_size": np.array([6, 6]).tolist(), "overlap": [0.25, 0.25]}),
        SlidingWindowInferer(**BASE | {"sigma_scale": (0.125, 0.125)}),
        SlidingWindowInferer(**BASE, sw_batch_size=5),
        SlidingWindowInferer(**BASE, device="cpu", sw_device="cpu", progress=False, cache_roi_weight_map=True),
        SlidingWindowInferer(**BASE, buffer_steps=1, buffer_dim=0),
        SlidingWindowInferer(**BASE, cpu_thresh=1),
        SlidingWindowInfererAdapt(**BASE),
    ],
)
def test_what_changes_no_value_changes_no_record(other: SlidingWindowInferer) -> None:
    base = SlidingWindowInferer(**BASE)
    assert inferer_record(other) == inferer_record(base)
    torch.testing.assert_close(run(other), run(base), atol=1e-6, rtol=0)
    assert inferer_record(other) == inferer_record(base)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"roi_size": (8, 6)}, "roi_size"),
        ({"overlap": 0.5}, "overlap"),
        ({"overlap": (0.5, 0.25)}, "overlap"),
        ({"mode": "constant"}, "mode"),
        ({"sigma_scale": 0.5}, "sigma_scale"),
        ({"padding_mode": "replicate"}, "padding_mode"),
        ({"cval": 0.5}, "cval"),
    ],
)
def test_what_changes_values_changes_the_record_and_is_named_by_the_refusal(
    options: dict[str, Any], field: str
) -> None:
    base, other = SlidingWindowInferer(**BASE), SlidingWindowInferer(**BASE | options)
    # The image is narrower than the window, so that padding matters.
    assert float((run(base) - run(other)).abs().max()) > 1e-4
    net, label = network(), torch.ones(1, 13, 4, dtype=torch.int64)

    def item(inferer: SlidingWindowInferer) -> dict[Any, Any]:
        return NetworkProvenanced("pred", net, inferer)({"pred": run(inferer)[0].softmax(dim=0)})

    calibrated = item(base)
    made = completed_record(calibrated["pred"], record_of(calibrated, "pred"))
    tables = [false_negative_rate_table(calibrated["pred"], label, unit=str(i), provenance=made) for i in range(9)]
    threshold = ConformalThresholdd("pred", calibrate(LossTable.join(tables), 0.2))
    assert threshold(item(SlidingWindowInferer(**BASE)))["pred_set"].shape == (2, 13, 4)
    with pytest.raises(ValueError, match=rf"not made the way the calibrated ones were: inferer\.{field} is"):
        threshold(item(other))


def test_options_that_are_not_used_are_left_out() -> None:
    plain = SlidingWindowInferer((6, 6), padding_mode="reflect")
    assert inferer_record(plain) == inferer_record(
        SlidingWindowInferer((6, 6), padding_mode="reflect", sigma_scale=9, cval=7)
    )


def test_sizes_that_stand_for_the_image() -> None:
    records = [inferer_record(SlidingWindowInferer((6, size)))["roi_size"] for size in (-1, 0, None)]  # type: ignore[arg-type]
    assert records == [[6, -1]] * 3


def test_a_slice_inferer_before_and_after_its_run() -> None:
    inferer = SliceInferer(roi_size=(6, 6), spatial_dim=2, overlap=0.5)
    before = inferer_record(inferer)
    run(inferer, (7, 8, 3))
    assert inferer_record(inferer) == before
    assert (before["spatial_dim"], before["roi_size"]) == (2, 6)
    assert inferer_record(SliceInferer(roi_size=(6, 6), spatial_dim=1, overlap=0.5)) != before


def test_patches_simple_and_other_inferers() -> None:
    assert inferer_record(SimpleInferer()) == {"class": "SimpleInferer"}
    splitter = SlidingWindowSplitter((4, 4), overlap=0.5)
    record = inferer_record(PatchInferer(splitter, AvgMerger, batch_size=3))
    assert record == inferer_record(PatchInferer(splitter, AvgMerger, batch_size=1, buffer_size=2))
    assert record["splitter"]["overlap"] == 0.5
    assert record != inferer_record(PatchInferer(SlidingWindowSplitter((4, 4), overlap=0.25), AvgMerger))
    assert record != inferer_record(PatchInferer(splitter, AvgMerger, preprocessing=torch.relu))

    class Flipping:
        def __init__(self, inner: Any, flips: tuple[int, ...], second: torch.nn.Module) -> None:
            self.inner, self.flips, self.second, self._calls = inner, flips, second, 0

        def __call__(self, *given: Any) -> None: ...

    net = network()
    assert inferer_record(Flipping(SimpleInferer(), (0, 1), net)) == {
        "class": Flipping.__name__, "inner": {"class": "SimpleInferer"}, "flips": [0, 1], "second": weights_hash(net),
    }  # fmt: skip
    assert inferer_record(run)["class"] == "run"


def test_the_record_survives_json_and_pickling() -> None:
    for inferer in (SlidingWindowInferer((6, 8), overlap=np.float64(0.5)), PatchInferer(SlidingWindowSplitter(4))):
        transform = NetworkProvenanced("pred", network(), inferer, flips=[0, (1, 0)])
        record = pickle.loads(pickle.dumps(transform))({"pred": torch.rand(2, 4, 4)})["pred_provenance"]
        assert json.loads(json.dumps(record)) == record == transform.record().to_json()
        assert record["flips"] == [[0], [0, 1]]


def test_without_them_nothing_is_added() -> None:
    assert set(NetworkProvenanced("pred", network()).record().to_json()) == {"network"}
    assert NetworkProvenanced("pred", network(), flips=[]).record().flips == []


def test_flips_are_compared_as_a_set() -> None:
    assert flips_record([[1, 0], 1, [0]]) == flips_record([0, (0, 1), [1]]) == [[0], [0, 1], [1]]
    for wrong in ([3], [[]], [0, [0]], [[0, 0]], ["x"], [0.5], 0):
        with pytest.raises(ValueError, match="flips must name the spatial axes"):
            NetworkProvenanced("pred", network(), flips=wrong)  # type: ignore[arg-type]


def test_what_is_no_inferer() -> None:
    with pytest.raises(TypeError, match="inferer must be callable, such as a SlidingWindowInferer, but is str"):
        NetworkProvenanced("pred", network(), inferer="sliding")  # type: ignore[arg-type]


def test_arguments_of_partials_networks_and_lambdas() -> None:
    def windows(**options: Any) -> dict[str, Any]:
        return inferer_record(partial(sliding_window_inference, **options))

    one = windows(roi_size=(8, 8), sw_batch_size=1, overlap=0.0)
    assert one == {"class": "partial", "function": "sliding_window_inference", "arguments": [], "roi_size": [8, 8], "overlap": 0.0}  # fmt: skip
    assert windows(roi_size=(8, 8), sw_batch_size=9, overlap=0.0) == one
    assert windows(roi_size=(8, 8), sw_batch_size=1, overlap=0.5) != one
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert inferer_record(first) != inferer_record(second)
    assert inferer_record(first)["weights"] == weights_hash(first)
    # Numbers of a network that are no weights are of it, too.
    narrow, wide = torch.nn.AvgPool2d(2), torch.nn.AvgPool2d(3)
    assert weights_hash(narrow) == weights_hash(wide)
    assert inferer_record(narrow) != inferer_record(wide)
    for inferer in (lambda x, network: network(x), partial(sliding_window_inference, process_fn=lambda *a: a)):
        with pytest.raises(TypeError, match="lambda"):
            inferer_record(inferer)
    assert inferer_record(run) == {"class": "run"}
