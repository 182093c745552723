"""What a GPU computes is what the CPU computes, and stays on the GPU; needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose

from monai_rwcp import (
    Calibration,
    CaseSummaryHandler,
    ConformalCalibrationHandler,
    ConformalThresholdd,
    DenseFeaturesd,
    ExchangeabilityMonitorHandler,
    FeatureExtractor,
    MINDFeatures,
    NetworkFeatures,
    NetworkProvenanced,
    PredictionSetMetricsHandler,
    RandomWalkDiffusiond,
    ReportHandler,
    TunedScored,
    TunedSettings,
    tune_settings,
)
from monai_rwcp.conformal import InstanceFalseNegativeRate, SurfaceFalseNegativeRate
from monai_rwcp.scores import BlurredScore, PlainScore, Score, WalkedScore
from monai_rwcp.utils.older_versions import product_precisions, set_product_precisions
from monai_rwcp.walk import (
    KNNGraph,
    WalkSettings,
    diffuse_probabilities,
    knn_graph,
    random_walk,
    resample_to_grid,
    transition_weights,
)
from monai_rwcp.walk.image_graph import image_graph
from tests.helpers.precisions import TF32

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")

GPU = torch.device("cuda")
CPU = torch.device("cpu")
SIDE = 24


class Net(torch.nn.Module):
    """Logits that fall with the distance of a pixel's value from each class number."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = torch.nn.Parameter(torch.arange(3.0).reshape(1, 3, 1, 1))
        self.body = torch.nn.Conv2d(1, 6, 3, padding=1)
        with torch.no_grad():
            self.body.weight.copy_(torch.randn(self.body.weight.shape, generator=torch.Generator().manual_seed(0)))
            self.body.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The layer runs for those who take its output as features.
        self.body(x)
        return -2 * (x - self.numbers) ** 2


def cases(first: int, last: int) -> list[dict[str, Any]]:
    """A square of one class in a square of another, and noise."""
    found = []
    for i in range(first, last):
        generator = torch.Generator().manual_seed(i)
        label = torch.zeros(1, SIDE, SIDE)
        a, b = torch.randint(2, 8, (2,), generator=generator).tolist()
        label[0, a : a + 12, b : b + 13], label[0, a + 3 : a + 9, b + 3 : b + 9] = 1, 2
        affine = torch.diag(torch.tensor([1.5, 2.0, 1.0, 1.0], dtype=torch.float64))
        image = MetaTensor(label + 0.5 * torch.randn(1, SIDE, SIDE, generator=generator), affine=affine)
        found.append({"image": image, "label": MetaTensor(label, affine=affine), "patient": f"p{i}"})
    return found


def evaluate(device: torch.device, data: list[dict[str, Any]], handlers: list[Any], more: list[Any]) -> Engine:
    network = Net().to(device)
    layer = NetworkFeatures(network, layers="body")
    chain: list[Any] = [
        Activationsd("pred", softmax=True),
        NetworkProvenanced("pred", network),
        DenseFeaturesd("image", layer, output_keys="features"),
        RandomWalkDiffusiond("pred", k=8, beta=20.0, n_steps=5, spatial_weight=1.0),
    ]
    engine = SupervisedEvaluator(
        device=device,
        val_data_loader=DataLoader(Dataset(data), batch_size=4),
        network=network,
        postprocessing=Compose([*chain, *more]),
        val_handlers=handlers,
    )
    engine.run()
    return engine


def on_both(function: Callable[[torch.device], Any]) -> tuple[Any, Any]:
    return function(CPU), function(GPU)


@pytest.fixture
def allowed_tf32() -> Iterator[None]:
    before = product_precisions()
    set_product_precisions(TF32)
    yield
    set_product_precisions(before)


@pytest.mark.parametrize("options", ["cosine", "position", "slices", "interpolated"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_graph(dtype: torch.dtype, options: str) -> None:
    generator = torch.Generator().manual_seed(3)
    cells, nodes = torch.randn(16, 16, 16, generator=generator, dtype=dtype), (64, 64)
    features = resample_to_grid(cells, nodes).flatten(1).T.contiguous()
    places = torch.rand(len(features), 2, generator=generator, dtype=dtype)
    slices = torch.arange(len(features)) // 512

    def similarities(device: torch.device) -> torch.Tensor:
        z = features.to(device)
        make: dict[str, Callable[[], KNNGraph]] = {
            "cosine": lambda: knn_graph(z, 20),
            "position": lambda: knn_graph(z, 20, coordinates=places.to(device), spatial_weight=2.0),
            "slices": lambda: knn_graph(z, 20, slices=slices.to(device), slice_reach=1),
            "interpolated": lambda: image_graph(cells.to(device), nodes, WalkSettings(k=20, grid="map")),
        }
        graph = make[options]()
        assert graph.neighbors.device.type == graph.similarity.device.type == device.type
        assert all(len(set(row)) == 20 for row in graph.neighbors.tolist())
        return graph.similarity.cpu()

    expected, found = on_both(similarities)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6 if dtype == torch.float32 else 1e-13)


@pytest.mark.usefixtures("allowed_tf32")
@pytest.mark.parametrize("move", [lambda x: resample_to_grid(x, (24, 96)), lambda x: BlurredScore(2.0).make(x)])
def test_maps_have_full_precision_where_tf32_is_allowed(move: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = torch.rand(3, 48, 48, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(move(x.to(GPU)).cpu().double(), move(x.double()), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("allowed_tf32")
def test_graph_has_full_precision_where_tf32_is_allowed() -> None:
    features = torch.randn(3000, 64, generator=torch.Generator().manual_seed(0))
    similarity = torch.nn.functional.normalize(features.double(), dim=1)
    similarity = similarity @ similarity.T
    similarity.fill_diagonal_(-torch.inf)
    found = knn_graph(features.to(GPU), 10)
    torch.testing.assert_close(found.similarity.cpu(), similarity.topk(10, dim=1).values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("restart", [0.0, 0.3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_walk_equals_dense_algebra_and_repeats_itself(restart: float, dtype: torch.dtype, tolerance: float) -> None:
    graph = knn_graph(torch.randn(400, 8, generator=torch.Generator().manual_seed(5)).to(GPU), 7)
    weights = transition_weights(graph.similarity, 20.0)
    start = torch.rand(400, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).to(dtype)
    walked = [random_walk(start.to(GPU), graph, weights, 6, restart) for _ in range(2)]
    assert torch.equal(*walked)
    transition = torch.zeros(400, 400, dtype=torch.float64).scatter_(1, graph.neighbors.cpu(), weights.cpu())
    state = start.double()
    for _ in range(6):
        state = (1 - restart) * transition @ state + restart * start.double()
    torch.testing.assert_close(walked[0].cpu().double(), state, rtol=0, atol=tolerance)


@pytest.mark.usefixtures("allowed_tf32")
@pytest.mark.parametrize("changes", [{}, {"center": True, "keep_peak": True, "grid": 2}, {"neighborhood": "slice"}])
def test_diffused_map(changes: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(8)
    probabilities = torch.softmax(3 * torch.randn(3, 32, 32, 6, generator=generator), dim=0)
    features = torch.randn(12, 16, 16, 6, generator=generator)
    settings = WalkSettings(k=9, beta=10.0, n_steps=4, **{"grid": "map", "spatial_weight": 1.0, **changes})
    expected, found = on_both(
        lambda device: diffuse_probabilities(probabilities.to(device), features.to(device), settings)
    )
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("extractor", [MINDFeatures(), NetworkFeatures(Net(), layers="body")])
def test_features(extractor: FeatureExtractor) -> None:
    image = cases(0, 1)[0]["image"]
    expected, found = on_both(lambda device: extractor(image.to(device)))
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), expected.cpu(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["fnr", "inner", InstanceFalseNegativeRate(), SurfaceFalseNegativeRate(2.0)])
def test_calibration(loss: Any) -> None:
    def calibrated(device: torch.device) -> Calibration:
        handler = ConformalCalibrationHandler(alpha=0.2, unit_key="patient", loss=loss)
        evaluate(device, cases(0, 30), [handler], [])
        return handler.calibration

    expected, found = on_both(calibrated)
    for c, of_class in expected.classes.items():
        assert found.classes[c].lambda_hat == pytest.approx(of_class.lambda_hat, rel=1e-4)
        assert found.classes[c].threshold == pytest.approx(of_class.threshold, rel=1e-4)


def test_everything_that_follows_calibration(tmp_path: Path) -> None:
    """Sets, their figures, the monitor and the page; files written by the CPU serve the GPU."""
    files = {name: tmp_path / f"{name}.json" for name in ("calibration", "reference")}
    keys: dict[str, Any] = {"unit_key": "patient"}
    evaluate(
        CPU,
        cases(0, 40),
        [
            ConformalCalibrationHandler(alpha=0.2, output_path=files["calibration"], **keys),
            CaseSummaryHandler(image_key="image", output_path=files["reference"], **keys),
        ],
        [],
    )

    def followed(device: torch.device) -> tuple[dict[str, Any], list[torch.Tensor]]:
        monitor = ExchangeabilityMonitorHandler(
            files["reference"], calibration=files["calibration"], tolerated=0.3, image_key="image", **keys
        )
        metrics = PredictionSetMetricsHandler(alpha=0.2, **keys)
        page = tmp_path / f"{device.type}.html"
        report = ReportHandler(files["calibration"], page, image_key="image", **keys)
        more = [ConformalThresholdd("pred", files["calibration"], output_keys="pred_set")]
        engine = evaluate(device, cases(40, 56), [monitor, metrics, report], more)
        assert "16 images of 16 patients" in page.read_text()
        return engine.state.metrics, [item["pred_set"] for item in engine.state.output]

    (expected, expected_sets), (found, found_sets) = on_both(followed)
    assert {s.device.type for s in found_sets} == {"cuda"}
    # A score at the threshold itself may fall to either side.
    differing = [float((a.cpu() != b).float().mean()) for a, b in zip(found_sets, expected_sets, strict=True)]
    assert max(differing) < 1e-3
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3, abs=1e-3, nan_ok=True), name


def test_tuning_and_the_tuned_score() -> None:
    network = Net()
    layer = NetworkFeatures(network, layers="body")
    candidates: list[Score] = [
        PlainScore(),
        BlurredScore(1.0),
        *(WalkedScore(WalkSettings(k=k, n_steps=3, grid="map")) for k in (5, 10)),
    ]

    with torch.no_grad():
        preds = [torch.softmax(network(case["image"][None])[0], dim=0) for case in cases(0, 12)]

    def scored(device: torch.device) -> list[dict[str, Any]]:
        return [
            {
                **case,
                "pred": pred.to(device),
                "label": case["label"].to(device),
                "features": layer(case["image"]).to(device),
            }
            for case, pred in zip(cases(0, 12), preds, strict=True)
        ]

    expected, found = on_both(lambda device: tune_settings(scored(device), candidates=candidates))
    assert found.chosen == expected.chosen
    for one, other in zip(found.results, expected.results, strict=True):
        assert one.candidate == other.candidate
        assert one.value == pytest.approx(other.value, rel=1e-3)
    settings = TunedSettings(candidates[-1], ("anna", "ben"), "patient", 0.1, "stretch", "it is a walk")
    transform = TunedScored("pred", settings)
    expected_map, found_map = on_both(lambda device: transform(scored(device)[0])["pred"])
    assert found_map.device.type == "cuda"
    torch.testing.assert_close(found_map.cpu(), expected_map, rtol=0, atol=2e-6, check_device=False)
