"""The figures of a data set, against numpy, MONAI's own metrics and cases worked out by hand."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDistanceMetric
from scipy.ndimage import label as scipy_label

from monai_rwcp import PredictionSetMetrics, false_negative_rate_table
from monai_rwcp.conformal import LossTable, calibrate, prediction_set
from monai_rwcp.metrics import ImageFigures, SetMetrics, class_figures

SPACING = [1.5, 1.0, 3.0]


def population(n_images: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, list[str], list[str]]:
    """Sets and truths of three channels of which some images lack the third, the units and the strata."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(n_images, 3, 9, 8, 7, generator=generator) < 0.2
    found = (truth & (torch.rand(truth.shape, generator=generator) < 0.8)) | (
        torch.rand(truth.shape, generator=generator) < 0.1
    )
    truth[::4, 2] = False
    found[4:5, 2] = False
    found[5:6, 1] = False
    return found, truth, [f"p{i // 2}" for i in range(n_images)], ["AB"[i // 2 % 2] for i in range(n_images)]


def filled(alpha: float | None = 0.1, **options: Any) -> PredictionSetMetrics:
    found, truth, units, strata = population()
    metric = PredictionSetMetrics(alpha=alpha, **options)
    for part in (slice(0, 5), slice(5, 12)):
        metric(found[part], truth[part], spacing=SPACING, units=units[part], strata=strata[part])
    return metric


def rates(found: np.ndarray, truth: np.ndarray, keys: list[str]) -> dict[str, float]:
    missed = dict.fromkeys(keys, 0.0)
    true = dict(missed)
    for one, other, key in zip(found, truth, keys, strict=True):
        missed[key] += (other & ~one).sum()
        true[key] += other.sum()
    return {key: missed[key] / true[key] for key in missed if true[key]}


def test_every_figure_against_numpy_and_monai() -> None:
    found, truth, units, strata = (np.asarray(v) if i < 2 else v for i, v in enumerate(population()))
    figures = filled().aggregate()
    assert filled().classes == (1, 2)
    assert all(values.dtype == torch.float64 and values.shape == (2,) for values in figures.values())
    for column, c in enumerate((1, 2)):
        one, other = found[:, c], truth[:, c]
        shown = [i for i in range(len(one)) if other[i].any()]
        by_unit = rates(one, other, list(units))
        stretch = [one[i].sum() / other[i].sum() for i in shown]
        expected = {
            "fnr": np.mean(list(by_unit.values())),
            "fnr_standard_error": np.std(list(by_unit.values()), ddof=1) / math.sqrt(len(by_unit)),
            "coverage": 1 - np.mean(list(by_unit.values())),
            "coverage_gap": np.mean([abs(0.9 - (1 - rate)) for rate in by_unit.values()]),
            "stretch_median": np.median(stretch),
            "stretch_iqr": np.percentile(stretch, 75) - np.percentile(stretch, 25),
            "stretch_mean": np.mean(stretch),
            "size_ml": np.mean([one[i].sum() for i in shown]) * 4.5 / 1000,
            "components": np.mean([scipy_label(one[i])[1] for i in shown]),
            "fnr_smallest_third": np.mean(
                [
                    (other[i] & ~one[i]).sum() / other[i].sum()
                    for i in sorted(shown, key=lambda i: other[i].sum())[: math.ceil(len(shown) / 3)]
                ]
            ),
            "empty": np.mean([not one[i].any() for i in shown]),
            "false_alarm_rate": np.mean([one[i].any() for i in range(len(one)) if not other[i].any()] or [math.nan]),
            "n_units": len(by_unit),
            "n_without_class": len(one) - len(shown),
        }
        by_stratum = {
            s: np.mean(
                list(
                    rates(
                        one[[i for i, v in enumerate(strata) if v == s]],
                        other[[i for i, v in enumerate(strata) if v == s]],
                        [u for u, v in zip(units, strata, strict=True) if v == s],
                    ).values()
                )
            )
            for s in "AB"
        }
        expected["worst_stratum_fnr"] = max(by_stratum.values())
        for name, value in expected.items():
            assert float(figures[name][column]) == pytest.approx(float(value), rel=1e-12, nan_ok=True), (name, c)
        assert {s: float(v[column]) for s, v in filled().by_stratum().items()} == pytest.approx(by_stratum, rel=1e-12)


def test_distances_and_dice_are_monais() -> None:
    found, truth, *_ = population()
    ours = filled().aggregate()
    shown, both = truth.any(dim=(2, 3, 4), keepdim=False), truth.any(dim=(2, 3, 4)) & found.any(dim=(2, 3, 4))
    options: dict[str, Any] = {"include_background": True}
    distances = {
        "assd": SurfaceDistanceMetric(symmetric=True, **options),
        "hd95": HausdorffDistanceMetric(percentile=95, **options),
    }
    for column, c in enumerate((1, 2)):
        dice = DiceMetric(**options, ignore_empty=False)(found[:, [c]].float(), truth[:, [c]].float())
        assert float(ours["dice"][column]) == pytest.approx(float(dice[shown[:, c]].mean()), rel=1e-6)
        for name, metric in distances.items():
            values = metric(found[both[:, c]][:, [c]], truth[both[:, c]][:, [c]], spacing=SPACING)
            assert float(ours[name][column]) == pytest.approx(float(values.mean()), rel=1e-6), name


def test_figures_worked_out_by_hand() -> None:
    truth = torch.zeros(5, 2, 1, 4)
    truth[:, 1, 0] = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
    found = torch.zeros(5, 2, 1, 4)
    found[:, 1, 0] = torch.tensor([[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]])
    metric = PredictionSetMetrics(alpha=0.25)
    metric(found, truth, units=["a", "a", "b", "c", "d"], strata=["x", "y", "y", "x", None])
    figures = {name: float(v) for name, v in metric.aggregate().items()}
    # Unit a misses 2 of 4, unit b 1 of 4; the stretches are 2, 0 and 3/4; strata: x has a's 0, y the mean of 1 and 1/4.
    assert figures["fnr"] == 0.375
    assert figures["coverage_gap"] == 0.125
    assert (figures["stretch_median"], figures["stretch_mean"]) == (0.75, pytest.approx(2.75 / 3))
    assert figures["stretch_iqr"] == (2 + 0.75) / 2 - (0.75 + 0) / 2
    assert figures["worst_stratum_fnr"] == 0.625
    assert figures["components"] == 1
    assert figures["dice"] == pytest.approx((2 / 3 + 0 + 6 / 7) / 3)
    assert (figures["false_alarm_rate"], figures["n_units"], figures["n_without_class"]) == (0.5, 2, 2)
    assert math.isnan(figures["size_ml"])
    details = metric.per_image()
    assert details["false_alarm"][:, 0].tolist()[3:] == [1, 0]
    assert details["stretch"][:3, 0].tolist() == [2, 0, 0.75]
    assert details["fnr"][3:, 0].isnan().all()


def test_a_class_that_is_nowhere_and_sets_that_are_all_empty() -> None:
    metric = PredictionSetMetrics()
    truth = torch.zeros(2, 3, 4, 4)
    truth[:, 1, 1:3] = 1
    metric(torch.zeros(2, 3, 4, 4), truth)
    figures = metric.aggregate()
    assert figures["fnr"].tolist()[0] == 1
    assert figures["stretch_mean"].tolist()[0] == figures["stretch_median"].tolist()[0] == 0
    assert figures["dice"].tolist()[0] == 0
    assert all(math.isnan(figures[name][0]) for name in ("assd", "hd95"))
    for name, values in figures.items():
        if name not in ("false_alarm_rate", "n_units", "n_without_class"):
            assert math.isnan(values[1]), name
    assert figures["false_alarm_rate"].tolist()[1] == 0
    assert "coverage_gap" not in figures
    assert "worst_stratum_fnr" not in figures


def test_the_rate_is_the_one_that_was_calibrated() -> None:
    """At lambda_hat the sets of the calibration images have the loss that the calibration reports."""
    generator = torch.Generator().manual_seed(3)
    scores = [torch.softmax(2 * torch.randn(3, 12, 11, generator=generator), dim=0) for _ in range(30)]
    labels = [torch.randint(0, 3, (1, 12, 11), generator=generator) for _ in range(30)]
    tables = [
        false_negative_rate_table(s, t, unit=f"p{i // 3}", image=f"i{i}")
        for i, (s, t) in enumerate(zip(scores, labels, strict=True))
    ]
    table = LossTable.join(tables)
    calibration = calibrate(table, alpha=0.2)
    metric = PredictionSetMetrics()
    for i, (score, label) in enumerate(zip(scores, labels, strict=True)):
        found = prediction_set(score, calibration)
        metric([found], [torch.cat([label == c for c in range(3)])], units=[f"p{i // 3}"])
    for c, value in zip(metric.classes, metric.aggregate()["fnr"].tolist(), strict=True):
        assert value == pytest.approx(calibration.classes[c].empirical_risk, abs=1e-12)


def test_lists_batches_and_meta_tensors_agree() -> None:
    found, truth, *_ = population()
    affine = torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64))
    plain, listed, carried = PredictionSetMetrics(), PredictionSetMetrics(), PredictionSetMetrics()
    plain(found, truth, spacing=SPACING)
    listed(list(found), list(truth.int()), spacing=[SPACING] * 12)
    carried([MetaTensor(f, affine=affine) for f in found.float()], list(truth))
    for other in (listed, carried):
        for name, value in plain.aggregate().items():
            assert torch.equal(value.nan_to_num(-1), other.aggregate()[name].nan_to_num(-1)), name


def test_slices_have_a_volume_with_their_thickness_only() -> None:
    truth = torch.zeros(1, 2, 4, 4)
    truth[:, 1, 1:3, 1:3] = 1
    for thickness, expected in ((None, math.nan), (8.0, 4 * 2 * 2 * 8 / 1000)):
        metric = PredictionSetMetrics(slice_thickness=thickness)
        metric(truth, truth, spacing=2.0)
        assert float(metric.aggregate()["size_ml"]) == pytest.approx(expected, nan_ok=True)


def test_background_and_single_channels() -> None:
    truth = torch.zeros(1, 2, 4, 4)
    truth[:, 1, :2], truth[:, 0, 2:] = 1, 1
    assert PredictionSetMetrics(include_background=True)(truth, truth).shape == (1, 2, 9)
    assert PredictionSetMetrics()(truth[:, :1], truth[:, :1]).shape == (1, 1, 9)


def test_a_named_image_counts_once_and_a_nameless_one_always() -> None:
    found, truth, *_ = population(3)
    once, twice = PredictionSetMetrics(), PredictionSetMetrics()
    once(found, truth, images=["a", "b", "c"])
    twice(found[[0, 1, 2, 0]], truth[[0, 1, 2, 0]], images=["a", "b", "c", "a"])
    assert float(once.aggregate()["fnr"][0]) == float(twice.aggregate()["fnr"][0])
    assert twice.per_image()["dice"].shape == (4, 2)
    nameless = PredictionSetMetrics()
    nameless(found[[0, 1, 2, 0]], truth[[0, 1, 2, 0]])
    assert nameless.aggregate()["n_units"].tolist()[0] == 4
    twice(found[1:2], truth[1:2], images=["a"])
    with pytest.raises(ValueError, match="The name 'a' stands for two different images"):
        twice.aggregate()


def test_reset_pickle_and_copy() -> None:
    metric = filled()
    for other in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        assert torch.equal(other.aggregate()["fnr"], metric.aggregate()["fnr"])
    metric.reset()
    with pytest.raises(ValueError, match="call the metric with prediction sets and truths first"):
        metric.aggregate()
    with pytest.raises(ValueError, match="no image to sum up"):
        metric.classes  # noqa: B018
    # A metric that has summed up goes on collecting.
    found, truth, *_ = population(2)
    metric(found[:1], truth[:1])
    assert metric.aggregate()["n_units"].tolist()[0] == 1
    metric(found[1:], truth[1:])
    assert metric.aggregate()["n_units"].tolist()[0] == 2


def test_inputs_are_left_alone() -> None:
    found, truth, *_ = population(2)
    before = found.clone(), truth.clone()
    PredictionSetMetrics()(found, truth)
    assert torch.equal(found, before[0])
    assert torch.equal(truth, before[1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alpha": 0.0}, r"`alpha` in \(0, 1\), such as 0.1, but got 0.0"),
        ({"alpha": 1.0}, r"`alpha` in \(0, 1\)"),
        ({"alpha": math.nan}, r"`alpha` in \(0, 1\)"),
        ({"slice_thickness": 0.0}, "`slice_thickness` in mm, above 0 and finite, but got 0.0"),
        ({"slice_thickness": math.inf}, "`slice_thickness` in mm"),
    ],
)
def test_impossible_arguments_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PredictionSetMetrics(**given)  # type: ignore[arg-type]


SETS = torch.ones(2, 2, 4, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y": None}, "the truth in `y`, but got None"),
        ({"y": SETS[:1]}, r"one entry in `y` for each prediction set of the batch, of which there are 2, but got 1"),
        ({"y": SETS[:, :, :3]}, r"image 0 of the batch has \(2, 4, 4\) and \(2, 3, 4\)"),
        ({"y": SETS[:, :1]}, "class numbers becomes one-hot by AsDiscrete"),
        ({"y": 0.5 * SETS}, "Image 0 of the batch, class 1: Expected `truth` to hold zeros and ones"),
        ({"y_pred": 0.3 * SETS}, "Image 0 of the batch, class 1: Expected `prediction_set` to hold zeros and ones"),
        ({"units": ["a"]}, "one entry in `units` for each prediction set of the batch"),
        ({"units": "ab"}, "in `units` .* but got 'ab'"),
        ({"strata": ["a", "b", "c"]}, "one entry in `strata`"),
        ({"spacing": [0.0, 1.0]}, "each above 0 and finite"),
    ],
)
def test_bad_input_is_named(given: dict[str, Any], message: str) -> None:
    arguments = {"y_pred": SETS, "y": SETS} | given
    metric = PredictionSetMetrics()
    with pytest.raises(ValueError, match=message):
        metric(**arguments)
    # Nothing of the refused batch is kept.
    metric(SETS, SETS)
    assert metric.aggregate()["n_units"].tolist() == [2]


def test_images_must_agree_in_channels_and_unit_of_length() -> None:
    metric = PredictionSetMetrics()
    with pytest.raises(ValueError, match="image 0 of the batch has 2 and image 1 has 3"):
        metric([torch.ones(2, 4, 4), torch.ones(3, 4, 4)], [torch.ones(2, 4, 4), torch.ones(3, 4, 4)])
    metric(SETS, SETS)
    metric(torch.ones(1, 3, 4, 4), torch.ones(1, 3, 4, 4))
    with pytest.raises(ValueError, match=r"images of \[2, 3\] channels"):
        metric.aggregate()
    mixed = PredictionSetMetrics()
    mixed(SETS, SETS)
    mixed(SETS, SETS, spacing=1.0)
    with pytest.raises(ValueError, match="a voxel size for every image or for none"):
        mixed.aggregate()


def test_unit_of_one_image_has_no_standard_error() -> None:
    figures = class_figures([ImageFigures(SetMetrics(1, 10, 12, 0.8, 1, 1.0, 2.0), "anna")])
    assert figures["fnr"] == 0.1
    assert math.isnan(figures["fnr_standard_error"])
