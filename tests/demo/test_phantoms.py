"""The phantoms: the same for the same seed, on awkward grids, and each with all three structures."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation, binary_erosion

from monai_rwcp.demo import (
    CLASS_NAMES,
    FEATURE_LAYERS,
    build_network,
    image_preprocessing,
    phantom_patient,
    write_cohort,
)


def test_two_cohorts_of_one_seed_are_the_same_files(tmp_path: Path) -> None:
    for one, other in zip(write_cohort(tmp_path / "a", 2, 7), write_cohort(tmp_path / "b", 3, 7), strict=False):
        assert one["patient"] == other["patient"]
        for key in ("image", "label"):
            same = [gzip.decompress(Path(case[key]).read_bytes()) for case in (one, other)]
            assert same[0] == same[1]


@pytest.mark.parametrize("index", range(12))
def test_a_large_a_thin_and_a_small_structure_are_there(index: int) -> None:
    image, label, _ = phantom_patient(0, index)
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert label.dtype == np.uint8
    counts = np.bincount(label.ravel(), minlength=len(CLASS_NAMES))
    assert len(counts) == len(CLASS_NAMES)
    organ, wall, nodule = (label == c for c in (1, 2, 3))
    assert organ.sum() > 300
    assert (binary_dilation(organ) & wall).any()
    # The wall is thin: little of it is more than two voxels deep within a slice.
    deep = binary_erosion(wall, np.ones((3, 3, 1)), iterations=2)
    assert wall.sum() > 300
    assert deep.sum() < 0.25 * wall.sum()
    assert 50 < nodule.sum() < 0.5 * organ.sum()


def test_grids_differ_are_oblique_and_mirrored() -> None:
    affines = [phantom_patient(0, index)[2] for index in range(12)]
    spacings = np.array([np.linalg.norm(a[:3, :3], axis=0) for a in affines])
    assert (np.abs(spacings / [1.5, 1.5, 4.0] - 1) <= 0.1 + 1e-9).all()
    assert len({tuple(s) for s in spacings.round(6).tolist()}) == 12
    for affine, spacing in zip(affines, spacings, strict=True):
        axes = affine[:3, :3] / spacing
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
        assert axes[0, 0] == pytest.approx(-1)
        assert abs(axes[1, 2]) > 1e-4
    assert len({bool(np.linalg.det(a[:3, :3]) > 0) for a in affines}) == 2


def test_file_holds_the_affine(tmp_path: Path) -> None:
    case = write_cohort(tmp_path, 1, 2)[0]
    for key in ("image", "label"):
        loaded = nibabel.load(case[key])
        np.testing.assert_allclose(loaded.affine, phantom_patient(2, 0)[2], atol=1e-4)
        assert loaded.shape == phantom_patient(2, 0)[1].shape


def test_network_takes_what_the_preprocessing_gives(tmp_path: Path) -> None:
    item = image_preprocessing()(write_cohort(tmp_path, 1, 2)[0])
    network = build_network().eval()
    assert set(FEATURE_LAYERS) <= set(dict(network.named_modules()))
    with torch.no_grad():
        out = network(item["image"].as_tensor()[None])
    assert out.shape == (1, len(CLASS_NAMES), *item["image"].shape[1:])
    # The truth stays on its own grid: scores are compared with it there.
    assert item["label"].shape[1:] == phantom_patient(2, 0)[1].shape
    assert 0 <= float(item["image"].min()) < float(item["image"].max()) <= 1
