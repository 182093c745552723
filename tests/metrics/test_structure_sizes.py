"""The smallest third of structures, ties and absent ones among them."""

from __future__ import annotations

import pytest

from monai_rwcp.metrics import SetMetrics, class_figures, smallest_third
from monai_rwcp.metrics.summary import ImageFigures


@pytest.mark.parametrize(
    ("sizes", "small"),
    [
        ([9, 1, 5, 2, 3, 8], [1, 3]),
        ([0, 4, 4, 9, 9, 1], [5, 1, 2]),
        ([3], [0]),
        ([7, 7, 7], [0, 1, 2]),
        ([0.0, 0.0], []),
        ([], []),
    ],
)
def test_by_hand(sizes: list[float], small: list[int]) -> None:
    found = smallest_third(sizes)
    assert len(found) == len(sizes)
    assert {i for i, is_small in enumerate(found) if is_small} == set(small)


def test_ml_decides_where_voxels_differ_in_size() -> None:
    # Few large voxels against many small ones: the second is the smaller structure.
    images = [
        ImageFigures(SetMetrics(10, 100, 90, 0.9, 1, 1.0, 1.0), "anna", size_ml=9.0, true_ml=10.0),
        ImageFigures(SetMetrics(400, 800, 400, 0.6, 1, 1.0, 1.0), "ben", size_ml=0.4, true_ml=0.8),
        ImageFigures(SetMetrics(0, 900, 900, 1.0, 1, 0.0, 0.0), "carl", size_ml=90.0, true_ml=90.0),
    ]
    assert class_figures(images)["fnr_smallest_third"] == 0.5
    unknown = [ImageFigures(image.metrics, image.unit) for image in images]
    assert class_figures(unknown)["fnr_smallest_third"] == 0.1
    assert class_figures(unknown)["empty"] == 0
