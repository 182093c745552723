"""Volumes and distances on grids that are sheared, in other units, oblique, or of one slice."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor
from scipy.ndimage import binary_erosion
from scipy.spatial.distance import cdist

from monai_rwcp import PredictionSetMetrics, PredictionSetMetricsHandler
from monai_rwcp.conformal import SurfaceFalseNegativeRate, case_loss_table
from monai_rwcp.conformal.counting.levels import threshold_levels
from monai_rwcp.metrics import prediction_set_metrics, sandwich_metrics, volume_ml
from monai_rwcp.metrics.surfaces import surface_distances
from monai_rwcp.provenance.score_maps import map_spacing
from monai_rwcp.report.case_maps import CaseMaps, measured, shown
from monai_rwcp.tune.distances import set_distances
from monai_rwcp.utils.lengths import voxel_of
from monai_rwcp.utils.voxels import Voxel

_TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, -1.0]])


def grid(tilt: float = 0.0, lengths: tuple[float, ...] = (0.7, 1.1, 2.5)) -> np.ndarray:
    """Oblique, mirrored, and tilted as a gantry: slices move along y."""
    affine = np.diag([*lengths, 1.0])
    affine[1, 2] = lengths[2] * math.tan(math.radians(tilt))
    affine[:3, :3] = _TURN @ affine[:3, :3]
    affine[:3, 3] = (-120.5, 340.25, 28)
    return affine


def masks(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    true = np.zeros((9, 8, 7), bool)
    true[2:7, 2:6, 2:5] = True
    found = np.roll(true, (1, -1, 1), (0, 1, 2)) | (generator.random(true.shape) < 0.01)
    return found, true


def of_all_pairs(found: np.ndarray, true: np.ndarray, affine: np.ndarray) -> tuple[float, float]:
    n = found.ndim
    one, other = (np.argwhere(m & ~binary_erosion(m)) @ affine[:3, :n].T for m in (found, true))
    apart = cdist(one, other)
    ways = [apart.min(axis=axis) for axis in (0, 1)]
    return float(np.concatenate(ways).mean()), max(float(np.percentile(way, 95)) for way in ways)


def maps(affine: np.ndarray, meta: dict[str, Any] | None = None) -> list[MetaTensor]:
    return [
        MetaTensor(torch.from_numpy(np.stack([~m, m]).astype(np.float32)), affine=affine, meta=meta) for m in masks()
    ]


@pytest.mark.parametrize("tilt", [0.0, 0.03, 3.0, 25.0, -40.0])
def test_everything_that_measures_sheared_volumes(tilt: float) -> None:
    affine = grid(tilt)
    found, true = masks()
    volume = abs(np.linalg.det(affine[:3, :3])) * found.sum() / 1000
    assd, hd95 = of_all_pairs(found, true, affine)
    the_set, truth = maps(affine)
    metric = PredictionSetMetrics()
    metric([the_set], [truth])
    engine = Engine(lambda engine, i: [{"pred_set": the_set, "label": truth[1:]}])
    PredictionSetMetricsHandler().attach(engine)
    by_handler = {k.removeprefix("pred_set_").removesuffix("_1"): v for k, v in engine.run([0]).metrics.items()}
    for figures in ({name: float(v) for name, v in metric.aggregate().items()}, by_handler):
        assert figures["size_ml"] == pytest.approx(volume, rel=1e-6)
        # A tilt of 0.03 degrees is what headers round, and measured as straight.
        assert (figures["assd"], figures["hd95"]) == pytest.approx((assd, hd95), rel=1e-3)
    # The angles of the affine also with lengths that are given.
    for spacing in (map_spacing(the_set), voxel_of(the_set)):
        one = prediction_set_metrics(the_set[1], truth[1], spacing=spacing)
        assert one.hausdorff_distance_95 == pytest.approx(hd95, rel=1e-3)
        band = sandwich_metrics(the_set[1] * 0, the_set[1], spacing=spacing)
        assert band.band_volume == pytest.approx(volume, rel=1e-6)
    at_label = truth[1:].as_tensor()
    report = measured(CaseMaps("a", "a", the_set, at_label), [1])
    assert report.figures[1].hausdorff_distance_95 == pytest.approx(hd95, rel=1e-3)
    by_tuning = set_distances(the_set.as_tensor(), at_label, {1: 0.5}, voxel=voxel_of(the_set))
    assert by_tuning == [pytest.approx(hd95, rel=1e-3)]


def test_the_measures_of_sheared_grids_are_monais_on_straight_ones() -> None:
    found, true = masks()
    pair = torch.from_numpy(found), torch.from_numpy(true)
    straight = Voxel.straight([0.7, 1.1, 2.5])
    # So little tilted that nothing is changed, and so much that the other way is taken.
    tilted = Voxel((*straight.edges[:2], (0.0, 2.6e-3, 2.5)))
    assert (straight.is_straight, tilted.is_straight) == (True, False)
    assert surface_distances(*pair, tilted) == pytest.approx(surface_distances(*pair, straight), rel=2e-3)


@pytest.mark.parametrize("tilt", [0.0, 20.0, -40.0])
@pytest.mark.parametrize("radius", [0.0, 1.5, 3.0])
def test_the_surface_loss_on_sheared_grids(tilt: float, radius: float) -> None:
    affine = grid(tilt)
    generator = np.random.default_rng(1)
    true = masks()[1]
    values = generator.random(true.shape).astype(np.float32)
    other = np.pad(true, 1, mode="edge")
    inner = np.ones_like(true)
    for axis, way in itertools.product(range(3), (-1, 1)):
        inner &= np.roll(other, way, axis)[1:-1, 1:-1, 1:-1]
    surface = np.argwhere(true & ~inner)
    everywhere = np.argwhere(np.ones_like(true))
    near = cdist(surface @ affine[:3, :3].T, everywhere @ affine[:3, :3].T) <= radius * (1 + 1e-9)
    highest = np.where(near, values.reshape(-1)[None], -1).max(axis=1)
    score = MetaTensor(torch.from_numpy(np.stack([1 - values, values])), affine=affine)
    loss = SurfaceFalseNegativeRate(radius)
    label = torch.from_numpy(true[None].astype(np.float32))
    for spacing in (map_spacing(score), voxel_of(score)):
        table = case_loss_table(score, label, loss=loss, unit="a", spacing=spacing)
        assert int(table.true(1)[0]) == len(surface)
        due = (highest[:, None] < threshold_levels()[None]).sum(axis=0)
        np.testing.assert_array_equal(np.asarray(table.missed(1)[0]), due)


@pytest.mark.parametrize(("number", "mm"), [(3, 1e-3), (1, 1e3), (2, 1.0), (0, 1.0), (3 + 8, 1e-3)])
@pytest.mark.parametrize("kind", [int, np.uint8, torch.tensor, lambda n: np.array([n])])
def test_units_that_monais_reader_keeps_in_the_meta_data(number: int, mm: float, kind: Any) -> None:
    affine = grid()
    the_set, truth = maps(affine, {"xyzt_units": kind(number)})
    metric = PredictionSetMetrics()
    metric([the_set], [truth])
    figures = metric.aggregate()
    _, hd95 = of_all_pairs(*masks(), affine)
    volume = abs(np.linalg.det(affine[:3, :3])) * masks()[0].sum() / 1000
    assert figures["size_ml"].item() == pytest.approx(volume * mm**3, rel=1e-6)
    assert figures["hd95"].item() == pytest.approx(hd95 * mm, rel=1e-6)
    assert map_spacing(the_set) == pytest.approx([0.7 * mm, 1.1 * mm, 2.5 * mm])


def test_itk_has_brought_lengths_to_mm() -> None:
    assert map_spacing(maps(grid(), {"xyzt_units": "3"})[0]) == pytest.approx([0.7, 1.1, 2.5])


def test_maps_in_two_units_lie_at_one_place_or_do_not() -> None:
    in_micron = grid()
    in_micron[:3] *= 1000
    metric = PredictionSetMetrics()
    metric([maps(in_micron, {"xyzt_units": 3})[0]], [maps(grid())[1]])
    assert metric.aggregate()["size_ml"].item() == pytest.approx(0.7 * 1.1 * 2.5 * masks()[0].sum() / 1000)
    with pytest.raises(ValueError, match="is the unit of length in one header wrong, such as micron"):
        metric([maps(in_micron)[0]], [maps(grid())[1]])


def test_a_reports_image_in_another_unit_is_brought_to_the_set() -> None:
    mirrored = grid()
    mirrored[:3, 3] += 8 * mirrored[:3, 0]
    mirrored[:3, 0] *= -1
    in_micron = mirrored.copy()
    in_micron[:3] *= 1000
    values = torch.rand(1, 9, 8, 7, generator=torch.Generator().manual_seed(0))
    images = [MetaTensor(values, affine=mirrored), MetaTensor(values, affine=in_micron, meta={"xyzt_units": 3})]
    the_set, truth = maps(grid())
    drawn = [shown(CaseMaps("a", "a", the_set, truth[1:], image=lambda i=i: i), 1, 0.1).slices for i in images]
    assert [png for _, png in drawn[0]] == [png for _, png in drawn[1]]
    lost = shown(CaseMaps("a", "a", the_set, truth[1:], image=lambda: MetaTensor(values, affine=in_micron)), 1, 0.1)
    assert [png for _, png in lost.slices] != [png for _, png in drawn[0]]


def test_pixels_of_two_lengths_and_oblique_slices() -> None:
    found, true = (m[..., 3] for m in masks())
    for affine in (np.diag([0.5, 3.0, 1.0, 1.0]), np.diag([0.5, 3.0, 1.0]), grid(lengths=(0.5, 3.0, 9.0))):
        pair = [
            MetaTensor(torch.from_numpy(np.stack([~m, m]).astype(np.float32)), affine=affine) for m in (found, true)
        ]
        metric = PredictionSetMetrics(slice_thickness=4)
        metric(*([one] for one in pair))
        figures = metric.aggregate()
        flat = affine[:-1, :2] if len(affine) == 4 else np.vstack([affine[:2, :2], [0, 0]])
        expected = of_all_pairs(found, true, np.hstack([flat, np.zeros((3, 2))]))
        assert (figures["assd"].item(), figures["hd95"].item()) == pytest.approx(expected)
        assert figures["size_ml"].item() == pytest.approx(found.sum() * 0.5 * 3 * 4 / 1000)
    # Nobody tells how thick they are: an area is no volume.
    metric = PredictionSetMetrics()
    metric(*([one] for one in pair))
    assert math.isnan(metric.aggregate()["size_ml"])


def test_a_volume_of_one_slice_is_measured_within_it() -> None:
    found, true = (m[..., 3] for m in masks())
    flat = prediction_set_metrics(torch.from_numpy(found), torch.from_numpy(true), spacing=[0.5, 3.0])
    for axis in range(3):
        lengths = [0.5, 3.0]
        lengths.insert(axis, 7.0)
        pair = [torch.from_numpy(m).unsqueeze(axis) for m in (found, true)]
        thick = prediction_set_metrics(*pair, spacing=lengths)
        assert thick == flat
    assert volume_ml(flat.size, lengths) == pytest.approx(found.sum() * 0.5 * 3 * 7 / 1000)


def test_the_mean_volume_is_not_that_of_some() -> None:
    the_set, truth = maps(grid())
    metric = PredictionSetMetrics()
    metric([the_set], [truth])
    metric([the_set[..., 3]], [truth[..., 3]])
    figures = metric.aggregate()
    assert math.isnan(figures["size_ml"])
    assert not math.isnan(figures["hd95"])


def test_lengths_that_are_given_for_plain_arrays() -> None:
    assert volume_ml(1000, [1.0, 2.0, 0.5]) == pytest.approx(1.0)
    assert volume_ml(1000, Voxel(((1.0, 0, 0), (0, 2.0, 0), (0, 1.0, 0.5)))) == pytest.approx(1.0)
    assert Voxel(((1.0, 0, 0), (0, 2.0, 0), (0, 1.0, 0.5))).diagonal((0, 1, 1)) == pytest.approx(math.hypot(3, 0.5))
