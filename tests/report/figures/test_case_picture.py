"""The picture's proportions, its extreme inputs, and what it says where matplotlib is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.image import imread
from scipy.ndimage import label

from monai_rwcp.report import draw_case


def maps(shape: tuple[int, int], found: bool = True) -> dict[str, np.ndarray]:
    image, mask = np.random.default_rng(0).random(shape), np.zeros(shape)
    if found:
        mask[2:6, 3:9] = 1
    return {"image": image, "probability": image, "score": image, "plain_set": mask, "walked_set": mask, "truth": mask}


def test_proportions_follow_the_spacing(tmp_path: Path) -> None:
    # A map of zeros is the largest patch of the colour map's lowest colour.
    def panel(name: str, spacing: tuple[float, float]) -> tuple[int, int]:
        zeros = {**maps((20, 20)), "probability": np.zeros((20, 20))}
        draw_case(tmp_path / name, **zeros, title="a case", spacing=spacing)
        pixels = imread(tmp_path / name)[..., :3]
        dark = (np.abs(pixels - np.array(colormaps["cividis"](0)[:3])) < 0.02).all(axis=-1)
        patches = label(dark)[0]
        largest = np.argwhere(patches == 1 + np.bincount(patches.ravel())[1:].argmax())
        return int(np.ptp(largest[:, 0])) + 1, int(np.ptp(largest[:, 1])) + 1

    height, width = panel("square.png", (1.0, 1.0))
    assert height == pytest.approx(width, rel=0.03)
    height, width = panel("flat.png", (2.0, 1.0))
    assert width == pytest.approx(2 * height, rel=0.03)


@pytest.mark.parametrize("fill", [0, 1])
def test_empty_and_full_sets_are_drawn(tmp_path: Path, fill: int) -> None:
    case = {**maps((12, 16), found=False), "plain_set": np.full((12, 16), fill), "truth": np.full((12, 16), fill)}
    draw_case(tmp_path / "a.png", **case, title="a case")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("spacing", [(1.0, 40.0), (40.0, 1.0)])
def test_extreme_proportions_keep_a_page(tmp_path: Path, spacing: tuple[float, float]) -> None:
    draw_case(tmp_path / "a.png", **maps((12, 12)), title="a case", spacing=spacing)
    height, width = imread(tmp_path / "a.png").shape[:2]
    assert 0.3 < height / width < 1.5


def test_missing_matplotlib_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "monai-rwcp\[report\]"'):
        draw_case(tmp_path / "a.png", **maps((12, 12)), title="a case")
    assert not list(tmp_path.iterdir())


def test_a_case_is_drawn_whole_or_not_at_all(tmp_path: Path) -> None:
    image, mask = np.random.default_rng(0).random((20, 30)), np.zeros((20, 30))
    mask[5:10, 5:12] = 1
    maps = {"image": image, "probability": image, "score": image, "plain_set": mask, "walked_set": mask, "truth": mask}
    draw_case(tmp_path / "a.png", **maps, title="a case", spacing=(1.0, 2.0))
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ValueError, match="one 2D shape"):
        draw_case(tmp_path / "b.png", **{**maps, "truth": mask[:5]}, title="another")
