"""Promises by group and for a population that has shifted, and the files they live in."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_rwcp.conformal import Calibration, LossTable, calibrate, case_loss_table, prediction_set
from monai_rwcp.conformal.counting.options import CountingOptions
from monai_rwcp.conformal.counting.unit_losses import UnitLosses


def table_of(numbers: range, group: str | None = None, shift: float = 0.0, loss: str = "fnr") -> LossTable:
    tables = []
    for i in numbers:
        generator = torch.Generator().manual_seed(i)
        score = torch.sigmoid(torch.randn(1, 6, 6, generator=generator) + 1.5 - shift)
        label = (torch.rand(1, 6, 6, generator=generator) < 0.8).long()
        tables.append(
            case_loss_table(
                torch.cat([1 - score, score]),
                label,
                loss=loss,
                unit=f"{i:03d}",
                group=group,
                unit_name="patient",  # type: ignore[arg-type]
            )
        )
    return LossTable.join(tables)


def two_scanners() -> LossTable:
    return LossTable.join(
        [table_of(range(30), "old", 1.0), table_of(range(30, 70), "new"), table_of(range(70, 75), "x")]
    )


def test_every_group_gets_the_thresholds_it_would_get_alone(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match="Only 5 calibration units count for class 1 in the group 'x': 4 more are needed"
    ):
        found = calibrate(two_scanners(), 0.1, by_group=True)
    assert found.groups is not None
    assert found.groups["old"] == calibrate(table_of(range(30), "old", 1.0), 0.1).classes
    assert found.groups["new"] == calibrate(table_of(range(30, 70), "new"), 0.1).classes
    assert found.groups["x"] == {}
    assert found.classes == calibrate(two_scanners(), 0.1).classes
    assert found.thresholds_for("old")[1] < found.thresholds_for("x")[1] < found.thresholds_for("new")[1]
    assert found.thresholds_for("x") == found.threshold
    lines = found.promise.splitlines()
    assert lines[0].startswith(
        "On average at most 10 % of class 1 is missed in a new patient of the group 'new' who shows"
    )
    assert "calibrated on 40 patients" in lines[0]
    assert (
        lines[2]
        == "Of class 1 in a new patient of the group 'x' nothing is promised: too few patients, so the threshold of all is used."
    )
    # No promise of all groups together: a group has none. The last line is of the record.
    assert len(lines) == 5
    assert lines[4].startswith("Nothing guards this promise")
    found.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == found


def test_sets_need_a_group_that_was_seen() -> None:
    with pytest.warns(UserWarning, match="group 'x'"):
        found = calibrate(two_scanners(), 0.1, by_group=True)
    value = (found.thresholds_for("old")[1] + found.thresholds_for("new")[1]) / 2
    score = torch.tensor([[[1 - value]], [[value]]], dtype=torch.float64)
    assert prediction_set(score, found, group="old")[1].item() == 1
    assert prediction_set(score, found, group="new")[1].item() == 0
    for group in (None, "other"):
        with pytest.raises(ValueError, match=r"one of the calibrated groups \['new', 'old', 'x'\]"):
            prediction_set(score, found, group=group)
    with pytest.raises(ValueError, match="has no groups, but the group 'old'"):
        prediction_set(score, calibrate(two_scanners(), 0.1), group="old")


def test_groups_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="group for every patient, but '000' has none"):
        calibrate(table_of(range(20)), 0.1, by_group=True)
    one = case_loss_table(torch.rand(2, 3, 3), torch.ones(1, 3, 3), loss="fnr", unit="a", image="1", group="old")
    other = case_loss_table(torch.rand(2, 3, 3), torch.ones(1, 3, 3), loss="fnr", unit="a", image="2", group="new")
    with pytest.raises(ValueError, match="one group a unit, but image 'a' is in 'old' and 'new'"):
        LossTable.join([one, other])


def literal_threshold(losses: np.ndarray, thresholds: np.ndarray, w: np.ndarray, weight: float, alpha: float) -> float:
    p, own = w / (w.sum() + weight), weight / (w.sum() + weight)
    best = thresholds[0]
    for step in range(len(thresholds)):
        if (p * losses[:, step]).sum() + own <= alpha - 1e-12:
            best = thresholds[step]
    return float(best)


@pytest.mark.parametrize(("method", "tau"), [("crc", None), ("tolerance", 0.8)])
@pytest.mark.parametrize("loss", ["fnr", "inner"])
def test_weighted_thresholds_are_the_definition(method: str, tau: float | None, loss: str, tmp_path: Path) -> None:
    table = table_of(range(60), loss=loss)
    weights = dict(zip(table.units, np.random.default_rng(0).lognormal(0, 1, 60).tolist(), strict=True))
    found = calibrate(table, 0.2, method, tau=tau, weights=weights)  # type: ignore[arg-type]
    losses = UnitLosses(table, 1, CountingOptions())
    curves = losses.by_unit if tau is None else losses.by_unit > 1 - tau + 1e-12
    w = np.array([weights[unit] for unit in losses.units])
    seen = set()
    for weight in (0.0, 0.3, 1.0, 4.0, 20.0, 1000.0):
        expected = literal_threshold(curves, losses.thresholds, w, weight, 0.2)
        assert found.thresholds_for(weight=weight)[1] == expected
        seen.add(expected)
    assert len(seen) > 2
    assert found.thresholds_for(weight=1000.0)[1] == losses.thresholds[0]  # nothing like it was seen
    assert found.weighted is not None
    assert found.weighted[1].effective_n == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert f"worth {found.weighted[1].effective_n:.4g} of the other population" in found.promise
    assert found.threshold[1] == losses.thresholds[0]  # of a case without a known weight
    found.save(tmp_path / "calibration.json")
    assert Calibration.load(tmp_path / "calibration.json") == found


def test_equal_weights_are_plain_crc() -> None:
    table = table_of(range(60))
    plain = calibrate(table, 0.15)
    weighted = calibrate(table, 0.15, weights=dict.fromkeys(table.units, 3.0))
    assert weighted.thresholds_for(weight=3.0) == plain.threshold


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"000": 1.0}, r"weight for every unit, but \['001'"),
        ({f"{i:03d}": -1.0 for i in range(20)}, "weight of '000' to be a finite number from 0 on"),
        ({f"{i:03d}": math.nan for i in range(20)}, "weight of '000'"),
        ({f"{i:03d}": 0.0 for i in range(20)}, "all calibration units are 0"),
    ],
)
def test_weights_that_are_none(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate(table_of(range(20)), 0.2, weights=weights)


def test_a_weighted_calibration_needs_the_weight_of_the_case() -> None:
    table = table_of(range(20))
    found = calibrate(table, 0.2, weights=dict.fromkeys(table.units, 1.0))
    score = torch.rand(2, 3, 3)
    with pytest.raises(ValueError, match="needs its own weight"):
        prediction_set(score, found)
    with pytest.raises(ValueError, match="finite number"):
        prediction_set(score, found, weight=math.inf)
    with pytest.raises(ValueError, match="has no weights, but the weight 1.0"):
        prediction_set(score, calibrate(table, 0.2), weight=1.0)
    for options in ({"method": "rcps", "delta": 0.1}, {"by_group": True}):
        with pytest.raises(ValueError, match="Weights go with"):
            calibrate(table_of(range(40), "a"), 0.2, weights=dict.fromkeys(table_of(range(40)).units, 1.0), **options)  # type: ignore[arg-type]
