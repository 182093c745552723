"""What a notebook shows of our objects: one short line that tells what matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_rwcp import (
    ConformalThresholdd,
    DenseFeaturesd,
    ExportedFeatures,
    LossTable,
    MINDFeatures,
    NetworkFeatures,
    RandomWalkDiffusion,
    RandomWalkDiffusiond,
    false_negative_rate_table,
    recommended,
)
from monai_rwcp.conformal import calibrate
from monai_rwcp.monitoring import CaseSummaries, ImageSummary
from monai_rwcp.scores import PlainScore
from monai_rwcp.tune import set_curves, tune_settings
from monai_rwcp.walk import knn_graph

SCORE, LABEL = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)), torch.ones(1, 8, 8)
NETWORK = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3))


def table() -> LossTable:
    parts = [false_negative_rate_table(SCORE, LABEL, unit=f"p{i // 2}", image=str(i)) for i in range(24)]
    return LossTable.join(parts)


def cases() -> list[dict[str, Any]]:
    return [{"pred": SCORE, "label": LABEL, "patient": str(i)} for i in range(3)]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: knn_graph(torch.rand(50, 4), 3), ["50 nodes", "k=3"]),
        (lambda _: table(), ["fnr", "12 images, 24 images", "[1]"]),
        (lambda _: calibrate(table(), 0.2, class_names=("ground", "heart")), ["crc", "fnr <= 0.2", "heart >= ", "n = 12"]),
        (lambda _: CaseSummaries({"a": ImageSummary("anna", {"uncertainty": 0.1})}), ["1 images, 1 images"]),
        (lambda _: set_curves(SCORE, LABEL, unit="anna"), ["1 units", "[1]"]),
        (lambda _: tune_settings(cases(), candidates=[PlainScore()]), ["plain", "stretch", "on 3 units"]),
        (lambda _: MINDFeatures(), ["radius=2"]),
        (lambda _: NetworkFeatures(NETWORK, "0"), ["Sequential", "['0']"]),
        (lambda folder: exported(folder), ["encoder.pt2", "none"]),
        (lambda _: RandomWalkDiffusion(k=7), ["RandomWalkDiffusion(k=7"]),
        (lambda _: RandomWalkDiffusiond("pred", **recommended()), ["'pred'", "spatial_weight=3"]),
        (lambda _: ConformalThresholdd("pred", "c.json"), ["'pred'", "c.json"]),
        (lambda _: DenseFeaturesd("image", MINDFeatures()), ["'image'", "MINDFeatures"]),
    ],
)  # fmt: skip
def test_one_line_tells_what_matters(make: Any, told: list[str], tmp_path: Path) -> None:
    text = repr(make(tmp_path))
    assert "\n" not in text
    assert len(text) < 230
    for part in told:
        assert part in text, text


def exported(folder: Path) -> ExportedFeatures:
    encoder = torch.nn.Conv2d(3, 8, kernel_size=4, stride=4)
    torch.export.save(torch.export.export(encoder, (torch.rand(1, 3, 32, 32),)), folder / "encoder.pt2")
    return ExportedFeatures(folder / "encoder.pt2")
