"""Features of the prediction's own forward pass: one pass, each with its item, stitched like the prediction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer, SimpleInferer, SliceInferer, SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import Activationsd, Compose, Lambdad

from monai_rwcp import (
    ConformalCalibrationHandler,
    ConformalThresholdd,
    DenseFeaturesd,
    ForwardFeaturesHandler,
    NetworkFeatures,
    RandomWalkDiffusiond,
)

LAYERS = ["model.1.submodule", "model.0"]


def unet(dimensions: int = 2) -> UNet:
    torch.manual_seed(0)
    return UNet(dimensions, 1, 3, (4, 8, 16), (2, 2), norm="batch").eval()


def cases(shape: tuple[int, ...], n: int = 5) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": MetaTensor(torch.rand(1, *shape, generator=generator)),
            "label": torch.randint(0, 3, (1, *shape), generator=generator),
            "case": f"case {i}",
        }
        for i in range(n)
    ]


def run(
    network: torch.nn.Module,
    items: list[dict[str, Any]],
    handlers: list[Any],
    postprocessing: Callable | None = None,
    inferer: Inferer | None = None,
) -> list[dict[str, Any]]:
    """Run an evaluator in batches of two and give all its items."""
    seen: list[dict[str, Any]] = []
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(items), batch_size=2),
        network=network,
        inferer=inferer or SimpleInferer(),
        postprocessing=postprocessing,
        val_handlers=handlers,
    )
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.extend(engine.state.output))
    evaluator.run()
    return seen


@pytest.mark.parametrize("inferer", [SimpleInferer(), SlidingWindowInferer((16, 16), overlap=0.5)])
def test_the_prediction_lies_where_it_would_without_the_handler(inferer: Inferer) -> None:
    items = cases((16, 32), n=3)
    for i, item in enumerate(items):
        item["image"].affine = torch.diag(torch.tensor([2.0, 3.0 + i, 1.0, 1.0], dtype=torch.float64))
        item["image"].meta["filename_or_obj"] = f"{i}.nii"
    plain, caught = (run(unet(), items, given, inferer=inferer) for given in ([], [ForwardFeaturesHandler("model.0")]))
    for one, other in zip(plain, caught, strict=True):
        torch.testing.assert_close(other["pred"].affine, one["pred"].affine)
        assert other["pred"].meta["filename_or_obj"] == one["pred"].meta["filename_or_obj"]
        torch.testing.assert_close(other["pred"].as_tensor(), one["pred"].as_tensor())


@pytest.mark.parametrize("layers", ["model.0", LAYERS])
def test_each_item_keeps_the_features_of_its_own_image(layers: str | list[str]) -> None:
    network, items = unet(), cases((16, 24))
    seen = run(network, items, [ForwardFeaturesHandler(layers)])
    extractor = NetworkFeatures(network, layers)
    assert len(seen) == 5
    for found, item in zip(seen, items, strict=True):
        torch.testing.assert_close(found["features"], extractor(item["image"]), rtol=1e-4, atol=1e-5)
        assert torch.equal(found["image"], item["image"])
        assert not found["features"].requires_grad
        assert found["features_provenance"]["extractor"].startswith("ForwardFeatures(UNet, ")
    # Each one's own, and nobody else's.
    assert float((seen[0]["features"] - seen[1]["features"]).abs().max()) > 1e-3


def test_the_network_runs_once_and_predicts_as_without() -> None:
    network, items = unet(), cases((16, 16))
    count = 0

    def counted(module: torch.nn.Module, inputs: object) -> None:
        nonlocal count
        count += 1

    network.register_forward_pre_hook(counted)
    plain = run(network, items, [])
    assert count == 3
    seen = run(network, items, [ForwardFeaturesHandler(LAYERS)])
    assert count == 6
    for one, other in zip(plain, seen, strict=True):
        assert torch.equal(one["pred"], other["pred"])
    assert not any(layer._forward_hooks for layer in network.modules())


def test_whole_chain_gives_the_sets_of_a_second_forward_pass(tmp_path: Any) -> None:
    network, items = unet(), cases((16, 16), n=12)
    path = tmp_path / "calibration.json"
    walk = [Activationsd("pred", softmax=True), RandomWalkDiffusiond("pred", k=5, grid=2)]
    calibrate = ConformalCalibrationHandler(alpha=0.4, case_key="case", output_path=path)
    run(network, items, [ForwardFeaturesHandler("model.0"), calibrate], Compose(walk))
    threshold = ConformalThresholdd("pred", path)
    once = run(network, items, [ForwardFeaturesHandler("model.0")], Compose([*walk, threshold]))
    dense = DenseFeaturesd("image", NetworkFeatures(network, "model.0"))
    twice = run(network, items, [], Compose([dense, *walk]))
    for one, other in zip(once, twice, strict=True):
        torch.testing.assert_close(one["pred"], other["pred"], rtol=1e-4, atol=1e-5)
        assert one["pred_set"].any()
    # Features of another origin are told apart.
    with pytest.raises(ValueError, match="features.extractor|extractor"):
        threshold(twice[0])


class Cells(torch.nn.Module):
    """Means of cells of 4, so that windows and whole images must agree."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        pool = {2: torch.nn.AvgPool2d, 3: torch.nn.AvgPool3d}[dimensions]
        self.coarse, self.fine = pool(4), pool(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.coarse(x)
        self.fine(x)
        return torch.cat([x, 1 - x], dim=1)


@pytest.mark.parametrize(
    ("shape", "roi", "overlap"),
    [
        ((32, 40), (16, 16), 0.25),
        ((32, 40), (16, 24), 0.5),
        ((24, 24, 16), (16, 16, 16), 0.5),
        ((16, 16), (24, 24), 0.0),
    ],
)
def test_sliding_windows_are_stitched_like_the_prediction(shape: tuple, roi: tuple, overlap: float) -> None:
    network, items = Cells(len(shape)), cases(shape)
    inferer = SlidingWindowInferer(roi_size=roi, sw_batch_size=3, overlap=overlap, mode="gaussian")
    for layers in ("coarse", ["coarse", "fine"]):
        whole = NetworkFeatures(network, layers)
        for found in run(network, items, [ForwardFeaturesHandler(layers)], inferer=inferer):
            torch.testing.assert_close(found["features"], whole(found["image"]), rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found["pred"][:1].as_tensor(), found["image"].as_tensor())
            assert "SlidingWindowInferer roi_size=" in found["features_provenance"]["extractor"]


def test_sliding_windows_keep_the_affine_of_each_image() -> None:
    items = cases((16, 16, 16), n=3)
    for i, item in enumerate(items):
        item["image"].affine = torch.diag(torch.tensor([2.0 + i, 3, 4, 1], dtype=torch.float64))
    seen = run(
        Cells(3), items, [ForwardFeaturesHandler("coarse")], inferer=SlidingWindowInferer(roi_size=(8, 8, 8), overlap=0)
    )
    for found, item in zip(seen, items, strict=True):
        torch.testing.assert_close(found["pred"].affine, item["image"].affine)


@pytest.mark.parametrize(
    ("shape", "roi", "overlap"),
    [((30, 40), (16, 16), 0.25), ((32, 40), (16, 16), 0.3), ((20, 20), (26, 26), 0.0)],
)
def test_windows_that_begin_within_a_cell_are_refused(shape: tuple, roi: tuple, overlap: float) -> None:
    inferer = SlidingWindowInferer(roi_size=roi, overlap=overlap)
    with pytest.raises(ValueError, match=r"begin at whole cells.*DivisiblePadd"):
        run(Cells(2), cases(shape), [ForwardFeaturesHandler("coarse")], inferer=inferer)


def test_slices_of_a_volume() -> None:
    network, items = unet(), cases((16, 16, 6))
    inferer = SliceInferer(roi_size=(16, 16), spatial_dim=2, sw_batch_size=4)
    by_slice = NetworkFeatures(network, "model.0", slice_axis=2)
    for found in run(network, items, [ForwardFeaturesHandler("model.0")], inferer=inferer):
        torch.testing.assert_close(found["features"], by_slice(found["image"]), rtol=1e-4, atol=1e-5)


def test_half_precision_features_become_float32() -> None:
    network = unet().to(torch.bfloat16)
    items = [{**item, "image": item["image"].to(torch.bfloat16)} for item in cases((16, 16))]
    for found in run(network, items, [ForwardFeaturesHandler("model.0")], Lambdad("pred", lambda x: x.float())):
        assert found["features"].dtype == torch.float32


def test_attaching_twice_is_attaching_once() -> None:
    handler = ForwardFeaturesHandler("model.0")
    found = run(unet(), cases((16, 16)), [handler, handler])
    assert found[0]["features"].shape == (4, 8, 8)


def test_two_handlers_are_refused() -> None:
    with pytest.raises(ValueError, match="Name all layers in one of them"):
        run(unet(), cases((16, 16)), [ForwardFeaturesHandler("model.0"), ForwardFeaturesHandler(LAYERS, "deep")])


def test_a_second_run_of_one_evaluator() -> None:
    network = unet()
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(cases((16, 16))), batch_size=5),
        network=network,
        val_handlers=[ForwardFeaturesHandler("model.0")],
    )
    found = []
    for _ in range(2):
        evaluator.run()
        found.append(evaluator.state.output[3]["features"])
    assert torch.equal(found[0], found[1])


def test_weights_that_change_between_runs_change_the_name() -> None:
    network, handler = unet(), ForwardFeaturesHandler("model.0")
    names = set()
    for _ in range(2):
        names.add(run(network, cases((16, 16)), [handler])[0]["features_provenance"]["extractor"])
        with torch.no_grad():
            next(network.parameters()).add_(1)
    assert len(names) == 2


class Pair(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer(x), x


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"no layer 'model.9'.*Near names: "):
        run(unet(), cases((16, 16)), [ForwardFeaturesHandler("model.9")])
    with pytest.raises(ValueError, match="one tensor in evaluation mode, but it gave tuple"):
        run(Pair(), cases((16, 16)), [ForwardFeaturesHandler("layer")])
    with pytest.raises(TypeError, match="such as SupervisedEvaluator, but got Engine"):
        ForwardFeaturesHandler("model.0").attach(Engine(lambda engine, batch: None))
    buffered = SlidingWindowInferer(roi_size=(8, 8), buffer_steps=1)
    with pytest.raises(ValueError, match="buffer_steps"):
        run(unet(), cases((16, 16)), [ForwardFeaturesHandler("model.0")], inferer=buffered)
