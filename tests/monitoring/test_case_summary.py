"""Summaries of cases against numpy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_rwcp.monitoring import CaseSummaries, ImageSummary, case_summary
from monai_rwcp.provenance import ScoreRecord


@pytest.mark.parametrize("shape", [(9, 7), (5, 6, 4), (1, 8)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_against_numpy(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    score = torch.softmax(3 * torch.randn(3, *shape, generator=generator), 0).to(dtype)
    image = 100 * torch.randn(2, *shape, generator=generator)
    found = case_summary(score, image, thresholds=(0.25, 0.9), include_background=True)
    s = score.double().numpy()
    expected = {f"share of class {c} at {t:g}": (s[c] >= t).mean() for c in range(3) for t in (0.25, 0.9)}
    inner = np.clip(s, 1e-300, 1 - 1e-16)
    expected["uncertainty"] = (-inner * np.log2(inner) - (1 - inner) * np.log2(1 - inner)).mean()
    for c, channel in enumerate(image.double().numpy()):
        slopes = sum((np.diff(channel, axis=a) ** 2).mean() for a in range(channel.ndim) if channel.shape[a] > 1)
        expected |= {
            f"image channel {c} mean": channel.mean(),
            f"image channel {c} spread": channel.std(),
            f"image channel {c} sharpness": np.sqrt(slopes) / channel.std(),
        }
    assert list(found) == list(expected)
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-5, abs=1e-6)


def test_background_and_single_channels() -> None:
    assert list(case_summary(torch.rand(3, 4, 4))) == [
        "share of class 1 at 0.5", "share of class 2 at 0.5", "uncertainty",
    ]  # fmt: skip
    assert list(case_summary(torch.rand(1, 4, 4))) == ["share of class 0 at 0.5", "uncertainty"]


def test_blur_and_brightness_show_where_they_should() -> None:
    image = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    score = torch.full((1, 32, 32), 0.3)
    plain, blurred, brighter = (case_summary(score, i) for i in (image, smooth, 2 * image))
    assert blurred["image sharpness"] < 0.8 * plain["image sharpness"]
    assert brighter["image sharpness"] == pytest.approx(plain["image sharpness"])
    assert brighter["image mean"] == pytest.approx(2 * plain["image mean"])
    assert case_summary(score, torch.ones(1, 4, 4))["image sharpness"] == 0


def test_refusals() -> None:
    score, image = torch.rand(2, 4, 4), torch.rand(1, 4, 4)
    with pytest.raises(ValueError, match="no probabilities, nor anything known"):
        case_summary(3 * score)
    with pytest.raises(ValueError, match="finite values in the image"):
        case_summary(score, image / 0)
    with pytest.raises(ValueError, match="the image of one item"):
        case_summary(score, image[None, None])
    for thresholds in ((), (0.5, 0.5), (0.0,), (1.0,), (float("nan"),)):
        with pytest.raises(ValueError, match="Expected `thresholds`"):
            case_summary(score, thresholds=thresholds)


def test_summaries_join_by_image_and_read_by_unit() -> None:
    def part(image: str, unit: str, value: float, **options: object) -> CaseSummaries:
        return CaseSummaries({image: ImageSummary(unit, {"uncertainty": value})}, **options)  # type: ignore[arg-type]

    parts = [part("b1", "b", 0.25), part("a1", "a", 0.5), part("b2", "b", 0.75), part("a1", "a", 0.5)]
    joined = CaseSummaries.join(parts)
    assert joined.units == {"b": {"uncertainty": 0.5}, "a": {"uncertainty": 0.5}}
    assert list(joined.units) == ["b", "a"]
    # The same image in another batch differs in the last digits.
    assert CaseSummaries.join([*parts, part("a1", "a", 0.500001)]).units == joined.units
    with pytest.raises(ValueError, match="'a1' stands for two different images"):
        CaseSummaries.join([*parts, part("a1", "a", 0.6)])
    with pytest.raises(ValueError, match="`unit_name` is 'image' in one and 'patient'"):
        CaseSummaries.join([parts[0], part("c", "c", 0.1, unit_name="patient")])
    with pytest.raises(ValueError, match=r"not made in one way: network is .abc. for some and .def."):
        CaseSummaries.join(
            [part("a", "a", 0.1, provenance=ScoreRecord("abc")), part("b", "b", 0.1, provenance=ScoreRecord("def"))]
        )
    with pytest.raises(ValueError, match="at least one summary to join"):
        CaseSummaries.join([])


def test_summaries_are_finite_and_alike() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        CaseSummaries({})
    with pytest.raises(ValueError, match="image 'a', but uncertainty is nan"):
        CaseSummaries({"a": ImageSummary("a", {"uncertainty": float("nan")})})
    one, other = ImageSummary("a", {"uncertainty": 0.1}), ImageSummary("b", {"image mean": 0.1})
    with pytest.raises(ValueError, match=r"image 'b' to hold \['uncertainty'\], but it holds \['image mean'\]"):
        CaseSummaries({"a": one, "b": other})
