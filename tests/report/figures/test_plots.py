"""The plots: what is drawn, against the masks and against losses counted one voxel at a time."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from monai.data import MetaTensor

from monai_rwcp.conformal import Calibration, LossTable, calibrate, case_loss_table
from monai_rwcp.report import plot_observed, plot_prediction_set, plot_risk
from monai_rwcp.report.figures.canvas import MISSED_COLOUR, SET_COLOUR, TRUTH_COLOUR

SHAPE, SPACING = (14, 11), (1.5, 2.0)


def masks() -> dict[str, np.ndarray]:
    found, truth, inner = (np.zeros(SHAPE, np.uint8) for _ in range(3))
    found[3:9, 2:7] = 1
    truth[5:11, 3:8] = 1
    inner[5:7, 3:5] = 1
    return {"found": found, "truth": truth, "inner": inner}


def image() -> np.ndarray:
    return np.random.default_rng(0).random(SHAPE)


def axes_of_a_figure() -> Axes:
    return Figure().subplots()


def outlines(axes: Axes) -> dict[tuple[float, ...], Any]:
    return {to_rgb(drawn.get_edgecolor()[0]): drawn for drawn in axes.collections}


def test_outlines_run_along_the_edges_of_the_pixels() -> None:
    axes = plot_prediction_set(image(), **masks(), spacing=SPACING)
    drawn = outlines(axes)
    assert len(drawn) == 3
    for mask, colour in ((masks()["found"], SET_COLOUR), (masks()["truth"], TRUTH_COLOUR)):
        corners = np.concatenate([path.vertices for path in drawn[colour].get_paths()])
        used = np.argwhere(mask)
        np.testing.assert_allclose(corners.min(axis=0), used.min(axis=0) * SPACING)
        np.testing.assert_allclose(corners.max(axis=0), (used.max(axis=0) + 1) * SPACING)
        # Every pixel's centre is on the right side of the outline.
        centres = (np.indices(SHAPE).reshape(2, -1).T + 0.5) * SPACING
        inside = np.any([path.contains_points(centres) for path in drawn[colour].get_paths()], axis=0)
        np.testing.assert_array_equal(inside.reshape(SHAPE), mask == 1)


def test_lines_are_told_apart_without_colour() -> None:
    drawn = outlines(plot_prediction_set(image(), **masks()))
    styles = {drawn[TRUTH_COLOUR].get_linestyle()[0][1] is None, drawn[SET_COLOUR].get_linestyle()[0][1] is None}
    assert styles == {True, False}
    assert len({str(one.get_linestyle()[0][1]) for one in drawn.values()}) == 3


def test_what_is_missed_is_red_and_the_image_grey() -> None:
    axes = plot_prediction_set(image(), **masks(), spacing=SPACING)
    grey, missed = axes.get_images()
    # Rows of a picture run upwards here, columns to the right.
    np.testing.assert_array_equal(np.asarray(grey.get_array()).T, image())
    assert grey.get_clim() == tuple(np.percentile(image(), (0.5, 99.5)))
    assert grey.origin == missed.origin == "lower"
    assert list(grey.get_extent()) == list(missed.get_extent()) == [0.0, 14 * 1.5, 0.0, 11 * 2.0]
    layer = np.asarray(missed.get_array()).transpose(1, 0, 2)
    expected = (masks()["truth"] == 1) & (masks()["found"] == 0)
    np.testing.assert_array_equal(layer[..., 3] > 0, expected)
    np.testing.assert_allclose(layer[expected][:, :3], np.broadcast_to(MISSED_COLOUR, (expected.sum(), 3)))


def test_without_truth_nothing_is_missed() -> None:
    axes = plot_prediction_set(image(), masks()["found"])
    assert len(axes.get_images()) == 1
    assert set(outlines(axes)) == {SET_COLOUR}


def test_the_whole_image_and_nothing_have_outlines_of_their_own() -> None:
    corners = np.concatenate(
        [path.vertices for path in plot_prediction_set(image(), np.ones(SHAPE)).collections[0].get_paths()]
    )
    np.testing.assert_allclose(corners.min(axis=0), (0, 0), atol=1e-9)
    np.testing.assert_allclose(corners.max(axis=0), SHAPE)
    assert not plot_prediction_set(image(), np.zeros(SHAPE)).collections


def test_given_axes_come_back_and_keep_what_they_show() -> None:
    axes = axes_of_a_figure()
    axes.set_title("mine")
    assert plot_prediction_set(image(), **masks(), axes=axes) is axes
    assert axes.get_title() == "mine"
    assert axes.get_legend() is None
    labels = {"prediction set", "truth", "inner set", "missed"}
    assert set(axes.get_legend_handles_labels()[1]) == labels
    own = plot_prediction_set(image(), **masks())
    assert {text.get_text() for text in own.get_legend().get_texts()} == labels
    assert own.figure is not axes.figure


def test_no_figure_is_left_with_pyplot() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plot_prediction_set(image(), masks()["found"])
    assert pyplot.get_fignums() == before


def test_tensors_with_and_without_meta_data_are_drawn() -> None:
    score = MetaTensor(torch.from_numpy(image()))
    axes = plot_prediction_set(score, torch.from_numpy(masks()["found"]).bool())
    np.testing.assert_array_equal(np.asarray(axes.get_images()[0].get_array()).T, image())


def test_bad_arrays_are_named() -> None:
    with pytest.raises(ValueError, match=r"one 2D shape.*'found': \(14, 11, 2\)"):
        plot_prediction_set(image(), np.zeros((*SHAPE, 2)))
    with pytest.raises(ValueError, match="`found` to hold zeros and ones"):
        plot_prediction_set(image(), image())
    with pytest.raises(ValueError, match="2 voxel sizes"):
        plot_prediction_set(image(), np.zeros(SHAPE), spacing=(1.0, 1.0, 1.0))


def cases(n: int = 25) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    result = []
    for _ in range(n):
        label = (torch.rand(1, 6, 7, generator=generator) > 0.6).long()
        inside = torch.sigmoid(1.5 * torch.randn(6, 7, generator=generator) + 2.0 * label[0] - 1)
        result.append((torch.stack([1 - inside, inside]), label))
    return result


def table(loss: str = "fnr") -> LossTable:
    return LossTable.join(
        case_loss_table(score, label, loss=loss, unit=f"{i:02d}", unit_name="patient")
        for i, (score, label) in enumerate(cases())
    )


def line(axes: Axes, label: str) -> Any:
    return next(drawn for drawn in axes.get_lines() if str(drawn.get_label()).startswith(label))


def at(axes: Axes, label: str, lambdas: np.ndarray) -> np.ndarray:
    drawn = line(axes, label)
    order = np.argsort(drawn.get_xdata())
    return np.interp(lambdas, drawn.get_xdata()[order], drawn.get_ydata()[order])


def test_risk_is_the_mean_loss_counted_voxel_by_voxel() -> None:
    axes = plot_risk(table(), 0.2, class_index=1)
    drawn = line(axes, "mean loss")
    assert drawn.get_label() == "mean loss (25 patients)"
    for number in range(0, len(drawn.get_xdata()), 97):
        threshold = 1 - drawn.get_xdata()[number]
        rates = [float((score[1][label[0] == 1].double() < threshold).double().mean()) for score, label in cases()]
        assert drawn.get_ydata()[number] == pytest.approx(np.mean(rates), abs=1e-12)
    # Thin lines are the patients: their mean is the bold one.
    thin = [one for one in axes.get_lines() if one.get_linewidth() < 1 and len(one.get_xdata()) > 2]
    assert len(thin) == 25
    np.testing.assert_allclose(np.mean([one.get_ydata() for one in thin], axis=0), drawn.get_ydata(), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"method": "rcps", "delta": 0.1}, {"method": "tolerance", "tau": 0.8}])
def test_risk_stops_where_calibrate_does(options: dict[str, Any]) -> None:
    entry = calibrate(table(), 0.2, **options).classes[1]
    axes = plot_risk(table(), 0.2, class_index=1, **options)
    dot = line(axes, r"$\hat\lambda$")
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (entry.lambda_hat, entry.empirical_risk)
    allowed = line(axes, "working level")
    assert set(allowed.get_ydata()) == {entry.working_level}
    assert set(line(axes, "promised").get_ydata()) == {0.2}
    bold = line(axes, "share of patients" if "tau" in options else "mean loss")
    # Everything to the right of the dot is allowed, and the next step to its left is not.
    right = bold.get_xdata() >= entry.lambda_hat
    assert (bold.get_ydata()[right] <= entry.working_level).all()
    assert bold.get_ydata()[~right].min() > entry.working_level


def test_risk_of_inner_sets_rises() -> None:
    axes = plot_risk(table("inner"), 0.2, class_index=1)
    entry = calibrate(table("inner"), 0.2).classes[1]
    assert line(axes, r"$\hat\lambda$").get_xdata()[0] == entry.lambda_hat
    values = at(axes, "mean loss", np.linspace(0, 1, 50))
    assert (np.diff(values) >= 0).all()
    assert values[-1] > values[0]


def test_risk_takes_axes_and_refuses_what_has_no_single_answer() -> None:
    axes = axes_of_a_figure()
    assert plot_risk(table(), 0.2, class_index=1, axes=axes, class_names=("background", "heart")) is axes
    assert axes.get_title() == "heart"
    with pytest.raises(ValueError, match=r"Class 2 is not in this table; its classes are \[1\]"):
        plot_risk(table(), class_index=2)
    with pytest.raises(ValueError, match="more than one lambda"):
        plot_risk(table(), 0.2, class_index=1, weights={f"{i:02d}": 1.0 for i in range(25)})


def test_observed_rates_with_their_intervals() -> None:
    calibration: Calibration = calibrate(table(), 0.2, class_names=("background", "heart"))
    axes = axes_of_a_figure()
    figures = {1: {"fnr": 0.15, "fnr_standard_error": 0.02, "n_units": 21}}
    assert plot_observed(calibration, figures, axes=axes) is axes
    (bars,) = axes.containers
    np.testing.assert_allclose(bars[0].get_xdata(), [15])
    (interval,) = bars[2][0].get_segments()
    # Of Student's t with 20 degrees of freedom the 97.5th percentile is 2.086.
    np.testing.assert_allclose(interval[:, 0], [15 - 2.086 * 2, 15 + 2.086 * 2], atol=1e-3)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["heart"]
    assert any(set(drawn.get_xdata()) == {20.0} for drawn in axes.get_lines())


def test_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "monai-rwcp\[report\]"'):
        plot_risk(table(), 0.2, class_index=1)


def test_a_name_is_no_formula() -> None:
    calibration = calibrate(table(), 0.2, class_names=("background", "a $_$ b"))
    figures = {1: {"fnr": 0.15, "fnr_standard_error": 0.02, "n_units": 21}}
    for axes in (
        plot_observed(calibration, figures),
        plot_risk(table(), 0.2, class_index=1, class_names=("background", "a $_$ b")),
    ):
        axes.figure.savefig(io.BytesIO())
