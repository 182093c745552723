"""The progress bar of the search."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from tqdm import tqdm

from monai_rwcp import RandomWalkDiffusiond
from monai_rwcp.walk import WalkSettings, diffuse_probabilities, interpolated_search, recommended

SETTINGS = {
    "all": (WalkSettings(k=5), (3, 16, 16), (8, 8, 8)),
    "slices": (WalkSettings(k=5, neighborhood=("slices", 1)), (3, 16, 16, 6), (8, 8, 8, 6)),
    "interpolated": (WalkSettings(k=5, grid="map"), (3, 48, 48), (8, 16, 16)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_node_is_counted_once(name: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpolated_search, "_SEARCHED_BLOCKS", 24)
    settings, map_shape, feature_shape = SETTINGS[name]
    probabilities, features = torch.rand(map_shape), torch.rand(feature_shape)
    quiet = diffuse_probabilities(probabilities, features, settings)
    assert capsys.readouterr().err == ""
    shown = diffuse_probabilities(probabilities, features, settings, progress=True)
    assert torch.equal(quiet, shown)
    nodes = tqdm.format_sizeof(math.prod(map_shape[1:] if settings.grid == "map" else feature_shape[1:]))
    last = capsys.readouterr().err.split("\r")[-1]
    assert "search neighbours: 100%" in last
    assert f"{nodes}/{nodes}" in last


def test_the_transform_shows_it(capsys: pytest.CaptureFixture) -> None:
    walk = RandomWalkDiffusiond("pred", **recommended(), progress=True)
    walk({"pred": torch.rand(2, 32, 32), "features": torch.rand(8, 16, 16)})
    assert "search neighbours: 100%" in capsys.readouterr().err


def test_without_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    diffuse_probabilities(torch.rand(2, 8, 8), torch.rand(3, 4, 4), WalkSettings(k=3))
    with pytest.raises(ImportError, match=r"monai-rwcp\[progress\]"):
        diffuse_probabilities(torch.rand(2, 8, 8), torch.rand(3, 4, 4), WalkSettings(k=3), progress=True)
