"""Softmax sums to 1 whatever honest files do to it; sigmoid of regions does not, and has no background."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from monai.transforms import Compose, CropForegroundd, Invertd, Orientationd, Spacingd
from torch.nn.functional import interpolate

from monai_rwcp import ConformalCalibrationHandler, tune_settings
from monai_rwcp.conformal.counting.channel_sums import check_background, check_softmax, sums_of_channels
from monai_rwcp.scores import PlainScore
from monai_rwcp.walk import WalkSettings, diffuse_probabilities

SHAPE = (24, 20, 12)


def organ(share: float = 0.5) -> torch.Tensor:
    """Probability of a small organ: under 2 % of the volume."""
    at = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in SHAPE), indexing="ij"))
    middle = torch.tensor([9.0, 8.0, 5.0])[:, None, None, None]
    return torch.sigmoid(4 * share * (3 - (at - middle).norm(dim=0)))


def softmax(n: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.softmax(3 * torch.randn(n, *SHAPE, generator=generator), dim=0)


def regions() -> torch.Tensor:
    whole = organ()
    return torch.stack([whole, whole**2, whole**4])


@pytest.mark.parametrize("n", [2, 3, 40])
@pytest.mark.parametrize("kind", ["as it is", "half", "bfloat16", "8 bits", "resampled", "masked"])
def test_softmax_in_honest_files(kind: str, n: int) -> None:
    found = softmax(n)
    if kind == "half":
        found = found.half()
    elif kind == "bfloat16":
        found = found.bfloat16()
    elif kind == "8 bits":
        found = (found * 255).round() / 255
    elif kind == "resampled":
        found = interpolate(found[None], scale_factor=1.7, mode="trilinear")[0]
    elif kind == "masked":
        found = found * (organ() > 0.5)
    check_softmax(found, "'anna.npz'", "Mend it.")
    check_background(found, "index")


def test_one_voxel_that_is_none_is_enough() -> None:
    found = softmax()
    found[:, 3, 4, 5] *= 0.9
    with pytest.raises(ValueError, match=r"softmax in 'anna.npz'.*sum to 1 .*numbers from 0.900 to 1.000.* Mend it\."):
        check_softmax(found, "'anna.npz'", "Mend it.")


def inverted(found: torch.Tensor, axes: str = "RAS") -> torch.Tensor:
    """Cropped to a box at 1.5 mm, and back at 1 mm, as MONAI does it: the faces of the box fade over two voxels."""
    box = torch.zeros(1, *SHAPE)
    box[:, 4:20, 3:17, 2:10] = 1
    chain = Compose([Orientationd("image", axes), Spacingd("image", (1.5, 1.5, 1)), CropForegroundd("image", "image")])
    item = chain({"image": MetaTensor(box)})
    item["pred"] = MetaTensor(interpolate(found[None], item["image"].shape[1:], mode="trilinear")[0])
    return Invertd("pred", chain, orig_keys="image", nearest_interp=False)(item)["pred"].as_tensor()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("axes", ["RAS", "PIR"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_softmax_that_was_cropped_and_resampled_back(kind: torch.dtype, axes: str) -> None:
    found = inverted(softmax(), axes).to(kind)
    sums = found.float().sum(dim=0)
    assert float(((sums > 0.05) & (sums < 0.95)).float().mean()) > 0.05
    check_softmax(found, "'anna.npz'", "Mend it.")
    check_background(found, "index")
    found[:, 12, 10, 5] *= 0.9
    with pytest.raises(ValueError, match="Expected softmax"):
        check_softmax(found, "'anna.npz'", "Mend it.")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_regions_that_were_cropped_or_are_boxes_are_none() -> None:
    apart = torch.stack([organ(2), organ(2).flip(0)]).half()
    box = torch.full((2, *SHAPE), 1e-4)
    box[0, 8:12, 8:12, 4:8] = 0.999
    for found in (inverted(regions()), apart, box, inverted(box)):
        with pytest.raises(ValueError, match="Expected softmax"):
            check_softmax(found, "'anna.npz'", "Mend it.")


def test_regions_are_told_from_classes() -> None:
    with pytest.raises(ValueError, match="numbers from 0.000 to "):
        check_softmax(regions(), "'anna.npz'", "Mend it.")
    with pytest.raises(ValueError, match=r"less than a half \(the median is 0\.0\d+; .*no background"):
        check_background(regions(), "index")
    check_background(regions(), "regions")
    check_background(torch.stack([1 - organ(), organ(), organ() ** 2]), "index")  # sigmoid of classes


def test_voxels_that_are_0_in_all_channels_have_no_sum() -> None:
    assert sums_of_channels(torch.zeros(3, *SHAPE)) is None
    check_background(torch.zeros(3, *SHAPE), "index")
    check_softmax(torch.zeros(3, *SHAPE), "'anna.npz'", "Mend it.")


def label() -> torch.Tensor:
    return (organ() > 0.5).float()[None] + (organ() ** 2 > 0.5).float()[None]


def classes() -> torch.Tensor:
    whole, core = organ(), organ() ** 2
    return torch.stack([1 - whole, whole - core, core])


def test_one_case_of_thirty_through_the_handler() -> None:
    def calibrated(wrong: int | None) -> None:
        def step(engine: Engine, i: int) -> list[dict[str, object]]:
            made = regions() if i == wrong else classes()
            return [{"pred": made, "label": label(), "case": f"case {i}", "patient": f"patient {i}"}]

        handler = ConformalCalibrationHandler(unit_key="patient", case_key="case")
        engine = Engine(step)
        handler.attach(engine)
        engine.run(range(30))

    calibrated(None)
    with pytest.raises(ValueError, match=r"Case 'case 17', score 'pred', label 'label': .*the median is 0\.0"):
        calibrated(17)


def test_walked_scores_need_no_sum() -> None:
    """Their record says that they are no longer the network's own."""
    features = torch.nn.functional.avg_pool3d(torch.cat([organ()[None], torch.rand(3, *SHAPE)]), 4)
    walked = diffuse_probabilities(classes(), features, WalkSettings(k=5, n_steps=3))
    low = 0.2 * walked
    record = {"steps": [{"kind": "walk", "settings": {"k": 5}}]}

    def step(engine: Engine, i: int) -> list[dict[str, object]]:
        return [{"pred": low, "pred_provenance": record, "label": label(), "patient": f"patient {i}"}]

    handler = ConformalCalibrationHandler(unit_key="patient", alpha=0.2)
    engine = Engine(step)
    handler.attach(engine)
    engine.run(range(5))
    assert handler.calibration.n == {1: 5, 2: 5}


def test_tuning_on_regions_as_classes() -> None:
    def tuned(made: torch.Tensor, mode: str, truth: torch.Tensor) -> None:
        data = [{"pred": made.clone(), "label": truth, "patient": f"patient {i}"} for i in range(8)]
        data[5]["pred"] = regions()
        tune_settings(data, candidates=[PlainScore()], alpha=0.2, label_mode=mode, seed=0)  # type: ignore[arg-type]

    with pytest.raises(ValueError, match=r"'pred' of case 5: .*regions"):
        tuned(classes(), "index", label())
    whole = organ() > 0.5
    tuned(regions(), "regions", torch.stack([whole, organ() ** 2 > 0.5, organ() ** 4 > 0.5]).float())
